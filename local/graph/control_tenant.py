"""The part of the control API that changes the tenant: people, licences, groups, what happens unnoticed, the export."""

from datetime import date
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.graph import times
from local.graph.export_policy import ExportPolicy

if TYPE_CHECKING:
    from local.graph.simulator import Simulator

Values = dict[str, Any]


class TenantControl:
    """The actions; who calls them has refused unknown names."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator

    def overview(self) -> Values:
        """Return what the overview shows of it."""
        graph = self._simulator
        return {"export": vars(graph.policy.export), "troubles": graph.export_api.troubles}

    async def export(self, _: web.Request, values: Values) -> Values:
        """Exchange how the export behaves."""
        self._simulator.policy.export = ExportPolicy.read(values)
        return vars(self._simulator.policy.export)

    async def happen(self, _: web.Request, values: Values) -> Values:
        """Let a day, or one conversation now, happen without telling anybody."""
        graph = self._simulator
        if "date" in values:
            sizes = {name: int(values[name]) for name in ("interactions", "users", "chats") if name in values}
            changes = graph.day(date.fromisoformat(values["date"]), **sizes)
        else:
            changes = graph.cloud.content.conversation(times.utc_now(), users=int(values.get("users", 25)))
        graph.happen(changes, seconds=float(values.get("seconds", 0)))
        return {"changes": len(changes), "refs": [each.ref for each in changes]}

    async def users(self, _: web.Request) -> web.Response:
        """Show every account."""
        accounts = self._simulator.directory.accounts()
        return web.json_response(
            {"users": [_shown(each.id, licensed=each.is_licensed, enabled=each.enabled) for each in accounts]}
        )

    async def user(self, request: web.Request, values: Values) -> Values:
        """Change what is named of an account."""
        graph, user = self._simulator, request.match_info["id"]
        for name in ("licensed", "enabled", "keepSku"):
            if not isinstance(values.get(name, True), bool):
                raise TypeError(f"{name} is true or false")
        if values.get("licensed") is True:
            graph.license(user)
        elif values.get("licensed") is False:
            graph.unlicense(user, keep_sku=values.get("keepSku", False))
        if "enabled" in values:
            graph.enable_user(user, enabled=values["enabled"])
        if "trouble" in values:
            graph.trouble(user, values["trouble"])
        account = graph.directory.find(user)
        licensed, enabled = account is not None and account.is_licensed, account is not None and account.enabled
        return _shown(user.lower(), licensed=licensed, enabled=enabled)

    async def delete_user(self, request: web.Request, _: Values) -> Values:
        """Delete an account."""
        self._simulator.delete_user(request.match_info["id"])
        return {}

    async def group(self, _: web.Request, values: Values) -> Values:
        """Make a group."""
        members, nested = values["members"], values.get("nested", [])
        if not all(isinstance(each, str) for each in (*members, *nested)):
            raise TypeError("members and nested are lists of ids")
        return {"id": self._simulator.add_group(members, nested)}


def _shown(user_id: str, *, licensed: bool, enabled: bool) -> Values:
    return {"id": user_id, "licensed": licensed, "enabled": enabled}
