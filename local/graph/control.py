"""The control API: the simulator by HTTP, for people and programs that are not written in Python.

Only on loopback. Whatever changes something must be sent as JSON, so that no web page can do it through a browser
that happens to run on the same machine. docs/graph-simulator.md has the table.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from typing import TYPE_CHECKING, Any

from aiohttp import web

from local.graph import times
from local.graph.control_script import ScriptControl
from local.graph.control_tenant import TenantControl
from local.graph.faults import Faults
from local.graph.forgeries import FORGERIES
from local.graph.operator_app import SubscriptionRefused

if TYPE_CHECKING:
    from local.graph.simulator import Simulator

Values = dict[str, Any]
Action = Callable[[web.Request, Values], Awaitable[Values]]
PREFIX = "/_simulator"


class ControlHttp:
    """The routes under `/_simulator`."""

    def __init__(self, simulator: "Simulator") -> None:
        self._simulator = simulator
        self._script = ScriptControl(simulator)
        self._tenant = TenantControl(simulator)
        self._playing: set[asyncio.Task[Any]] = set()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get(PREFIX, self._overview),
            web.get(PREFIX + "/ledger", self._ledger),
            web.get(PREFIX + "/idle", self._idle),
            web.post(PREFIX + "/subscriptions", _action(self._subscribe)),
            web.post(PREFIX + "/days", _action(self._play)),
            web.post(PREFIX + "/interactions", _action(self._interaction)),
            web.post(PREFIX + "/forgeries", _action(self._forge)),
            web.post(PREFIX + "/certificates", _action(self._rotate_certificate)),
            web.post(PREFIX + "/certificates/{version}/{what}", _action(self._change_certificate)),
            web.post(PREFIX + "/signing-keys", _action(self._rotate_keys)),
            web.put(PREFIX + "/faults", _action(self._set_faults)),
            web.put(PREFIX + "/outages/{part}", _action(self._begin_outage)),
            web.delete(PREFIX + "/outages/{part}", _action(self._end_outage)),
            *self._script_routes(),
            *self._tenant_routes(),
        ]

    def _script_routes(self) -> list[web.RouteDef]:
        script = self._script
        return [
            web.post(PREFIX + "/clock", _action(_only(script.advance, "seconds"))),
            web.put(PREFIX + "/limits", _action(script.limits)),
            web.put(PREFIX + "/policy", _action(_only(script.policy, "strictPatch", "patience", "licensedUsers"))),
            web.post(PREFIX + "/lifecycle", _action(_only(script.lifecycle, "event", "subscription"))),
            web.delete(PREFIX + "/subscriptions/{id}", _action(_only(script.remove, "tell"))),
            web.put(PREFIX + "/lost-answers", _action(_only(script.lose, "verb", "count"))),
            web.delete(PREFIX + "/consent", _action(_only(script.revoke, "roles"))),
            web.put(PREFIX + "/consent", _action(_only(script.restore, "roles"))),
        ]

    def _tenant_routes(self) -> list[web.RouteDef]:
        tenant = self._tenant
        sizes = ("date", "interactions", "users", "chats", "seconds")
        return [
            web.put(PREFIX + "/export", _action(tenant.export)),
            web.post(PREFIX + "/happen", _action(_only(tenant.happen, *sizes))),
            web.get(PREFIX + "/users", tenant.users),
            web.put(PREFIX + "/users/{id}", _action(_only(tenant.user, "licensed", "keepSku", "enabled", "trouble"))),
            web.delete(PREFIX + "/users/{id}", _action(_only(tenant.delete_user))),
            web.post(PREFIX + "/groups", _action(_only(tenant.group, "members", "nested"))),
        ]

    async def _overview(self, _: web.Request) -> web.Response:
        graph = self._simulator
        return web.json_response(
            {
                "settings": graph.settings(),
                "identity": graph.identity_environment(),
                "subscriptions": [each.listed() for each in graph.subscriptions.living()],
                "certificates": [each.id for each in graph.cloud.vault.versions(graph.certificate_name)],
                "faults": vars(graph.traffic.faults),
                "outages": graph.cloud.outages.now(),
                "forgeries": list(FORGERIES),
                "posts": {"planned": graph.traffic.planned, "finished": graph.traffic.finished},
                **self._script.overview(),
                **self._tenant.overview(),
            }
        )

    async def _ledger(self, _: web.Request) -> web.Response:
        ledger = await asyncio.to_thread(self._simulator.ledger)
        return web.json_response(ledger.summary())

    async def _idle(self, request: web.Request) -> web.Response:
        try:
            await self._simulator.delivery.idle(float(request.query.get("seconds", "60")))
        except TimeoutError:
            return web.json_response({"idle": False}, status=503)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response({"idle": True})

    async def _subscribe(self, _: web.Request, values: Values) -> Values:
        wanted = {
            "resource": values.pop("resource", None),
            "change_type": values.pop("changeType", None),
            "client_state": values.pop("clientState", None),
            "rich": values.pop("includeResourceData", None),
        }
        urls = values.pop("notificationUrl"), values.pop("lifecycleNotificationUrl", None)
        _nothing_else(values)
        given = {name: value for name, value in wanted.items() if value is not None}
        return await self._simulator.subscribe(*urls, **given)

    async def _play(self, _: web.Request, values: Values) -> Values:
        when = date.fromisoformat(values.pop("date", times.utc_now().date().isoformat()))
        seconds = float(values.pop("seconds", 60))
        sizes = {name: int(values.pop(name)) for name in ("interactions", "users", "chats") if name in values}
        _nothing_else(values)
        changes = self._simulator.day(when, **sizes)
        before = self._simulator.traffic.planned
        self._simulator.traffic.start(changes, seconds=seconds)
        return {"changes": len(changes), "posts": self._simulator.traffic.planned - before}

    async def _interaction(self, _: web.Request, values: Values) -> Values:
        users = int(values.pop("users", 25))
        _nothing_else(values)
        changes = self._simulator.cloud.content.conversation(times.utc_now(), users=users)
        self._simulator.traffic.start(changes)
        return {"interactions": [{"id": each.id, "requestId": each.request_id, "ref": each.ref} for each in changes]}

    async def _forge(self, _: web.Request, values: Values) -> Values:
        kind = str(values.pop("kind"))
        _nothing_else(values)
        kinds = list(FORGERIES) if kind == "all" else [kind]
        posts = [await self._simulator.forge(each) for each in kinds]
        answers = [post.attempts[-1].status for post in posts]
        return {"answers": dict(zip(kinds, answers, strict=True))}

    async def _rotate_certificate(self, _: web.Request, values: Values) -> Values:
        how = {name: values.pop(name) for name in ("bits", "content_type") if name in values}
        _nothing_else(values)
        return {"version": self._simulator.rotate_certificate(**how).id}

    async def _change_certificate(self, request: web.Request, values: Values) -> Values:
        _nothing_else(values)
        vault, name = self._simulator.cloud.vault, self._simulator.certificate_name
        changes = {"disable": vault.disable, "enable": vault.enable, "delete": vault.delete, "restore": vault.restore}
        changes[request.match_info["what"]](name, request.match_info["version"])
        return {}

    async def _rotate_keys(self, _: web.Request, values: Values) -> Values:
        retire = bool(values.pop("retire", True))
        _nothing_else(values)
        return {"kid": self._simulator.cloud.keys.rotate(retire=retire).kid}

    async def _set_faults(self, _: web.Request, values: Values) -> Values:
        self._simulator.traffic.faults = Faults.read(values)
        return vars(self._simulator.traffic.faults)

    async def _begin_outage(self, request: web.Request, values: Values) -> Values:
        part: Any = request.match_info["part"]
        kind, requests = values.pop("kind"), values.pop("requests", None)
        _nothing_else(values)
        self._simulator.cloud.outages.begin(part, kind, requests=requests)
        return {}

    async def _end_outage(self, request: web.Request, values: Values) -> Values:
        _nothing_else(values)
        part: Any = request.match_info["part"]
        self._simulator.cloud.outages.end(part)
        return {}


def _action(action: Action) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handle(request: web.Request) -> web.Response:
        if request.content_type != "application/json":
            return web.json_response({"error": "send JSON, and say so in Content-Type"}, status=415)
        try:
            values = await request.json() if request.can_read_body else {}
            return web.json_response(await action(request, dict(values)))
        except SubscriptionRefused as error:
            return web.json_response({"error": error.error}, status=error.status)
        except (KeyError, TypeError, ValueError) as error:
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)

    return handle


def _only(action: Action, *names: str) -> Action:
    async def checked(request: web.Request, values: Values) -> Values:
        _nothing_else({name: value for name, value in values.items() if name not in names})
        return await action(request, values)

    return checked


def _nothing_else(values: Values) -> None:
    if values:
        raise ValueError(f"unknown: {', '.join(sorted(values))}")
