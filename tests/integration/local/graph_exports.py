"""Exports from the simulated Graph, as a client that follows links would make them."""

import json
from datetime import date, timedelta
from urllib.parse import quote_plus

import aiohttp

from local.graph import Simulator
from local.graph.content.change import Change
from local.graph.times import milliseconds_z
from tests.integration.local.graph_calls import Body, call

DAY = date(2026, 3, 2)
WINDOW = "createdDateTime gt 2026-03-01T00:00:00Z and createdDateTime lt 2026-03-04T00:00:00Z"
Identity = tuple[str, str, str]


def path_of(user: str, version: str = "v1.0") -> str:
    return f"/{version}/copilot/users/{user}/interactionHistory/getAllEnterpriseInteractions"


async def ask(
    simulator: Simulator, path: str, token: str | None = None, **options: str
) -> tuple[int, Body, aiohttp.ClientResponse]:
    query = "&".join(f"${name}={quote_plus(value)}" for name, value in options.items())
    return await call(simulator, "GET", path + (f"?{query}" if query else ""), token=token)


async def pages(simulator: Simulator, path: str, **options: str) -> list[Body]:
    """Follow links to the end; what fails for now is asked again."""
    token = await simulator.graph_token()
    status, page, _ = await ask(simulator, path, token, **options)
    found: list[Body] = []
    while True:
        if status in {429, 500, 503}:
            link = found[-1]["@odata.nextLink"] if found else ""
        else:
            assert status == 200, page
            found.append(page)
            if "@odata.nextLink" not in page:
                return found
            link = page["@odata.nextLink"]
        if link:
            status, page, _ = await call(simulator, "GET", link.removeprefix(simulator.graph_endpoint), token=token)
        else:
            status, page, _ = await ask(simulator, path, token, **options)


def items(found: list[Body]) -> list[Body]:
    return [item for page in found for item in page["value"]]


def identity(item: Body) -> Identity:
    return item["sessionId"], item["requestId"], item["id"]


def latest(changes: list[Change], user: str | None = None) -> dict[Identity, Change]:
    """What an export of a user, or of everybody, ought to show."""
    found: dict[Identity, Change] = {}
    for each in sorted(changes, key=lambda change: change.at):
        if each.kind == "aiInteraction" and (user is None or user in each.user_ids):
            found[each.session_id or "", each.request_id or "", each.id] = each
    return {name: each for name, each in found.items() if each.change_type != "deleted"}


def content(change: Change) -> Body:
    parsed: Body = json.loads(change.plaintext or b"")
    return parsed


def between(change: Change, milliseconds: int = 1) -> str:
    """A range with nothing but the moment of a change in it."""
    apart = timedelta(milliseconds=milliseconds)
    first, last = milliseconds_z(change.at - apart), milliseconds_z(change.at + apart)
    return f"createdDateTime gt {first} and createdDateTime lt {last}"
