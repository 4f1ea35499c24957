"""The part of the control API that has Graph do something to an app's subscriptions: see `script`."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.graph.ledger import Post
from local.graph.policy import Limits

if TYPE_CHECKING:
    from local.graph.simulator import Simulator

Values = dict[str, Any]


class ScriptControl:
    """The actions; who calls them has refused unknown names."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator

    def overview(self) -> Values:
        """Return what the overview shows of it."""
        graph = self._simulator
        return {
            "limits": vars(graph.policy.limits),
            "strictPatch": graph.policy.strict_patch,
            "patience": graph.policy.patience.total_seconds(),
            "licensedUsers": graph.policy.licensed_users,
            "advanced": graph.clock.advanced.total_seconds(),
            "requests": dict(graph.requests),
            "violations": [
                {"rule": each.rule, "subscription": each.subscription_id, "user": each.user_id}
                for each in graph.violations
            ],
        }

    async def advance(self, _: web.Request, values: Values) -> Values:
        """Let time pass."""
        self._simulator.clock.advance(timedelta(seconds=float(values["seconds"])))
        return {"advanced": self._simulator.clock.advanced.total_seconds()}

    async def limits(self, _: web.Request, values: Values) -> Values:
        """Exchange rates and quotas."""
        self._simulator.policy.limits = Limits.read(values)
        return vars(self._simulator.policy.limits)

    async def policy(self, _: web.Request, values: Values) -> Values:
        """Change what is named."""
        policy = self._simulator.policy
        strict = values.get("strictPatch", policy.strict_patch)
        if not isinstance(strict, bool):
            raise TypeError("strictPatch is true or false")
        patience = float(values.get("patience", policy.patience.total_seconds()))
        policy.licensed_users = int(values.get("licensedUsers", policy.licensed_users))
        policy.strict_patch, policy.patience = strict, timedelta(seconds=patience)
        return {"strictPatch": strict, "patience": patience, "licensedUsers": policy.licensed_users}

    async def lifecycle(self, _: web.Request, values: Values) -> Values:
        """Send a lifecycle notification."""
        posts = await self._simulator.emit_lifecycle(str(values["event"]), values.get("subscription"))
        return _answers(posts)

    async def remove(self, request: web.Request, values: Values) -> Values:
        """Remove a subscription."""
        tell = bool(values.get("tell", True))
        return _answers(await self._simulator.remove_subscription(request.match_info["id"], tell=tell))

    async def revoke(self, _: web.Request, values: Values) -> Values:
        """Take permissions away."""
        return _answers(await self._simulator.revoke_consent(values.get("roles")))

    async def restore(self, _: web.Request, values: Values) -> Values:
        """Give permissions back."""
        self._simulator.restore_consent(values.get("roles"))
        return {}

    async def lose(self, _: web.Request, values: Values) -> Values:
        """Hang up instead of answering."""
        self._simulator.lose_answers(values["verb"], int(values.get("count", 1)))
        return {}


def _answers(posts: Iterable[Post]) -> Values:
    return {"answers": [post.attempts[-1].status if post.attempts else None for post in posts]}
