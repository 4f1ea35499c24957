"""The export of interactions over HTTPS: content, pages, filters and refusals."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import pytest_asyncio

from local.graph import Clock, ExportPolicy, Faults, Limits, Simulator
from local.graph.content.canonical import canonical_sha256
from local.graph.content.change import Change
from local.graph.export_api import Trouble
from tests.integration.local.graph_calls import call
from tests.integration.local.graph_exports import (
    DAY,
    WINDOW,
    ask,
    between,
    content,
    identity,
    items,
    latest,
    pages,
    path_of,
)
from tests.integration.local.graph_support import FAST

pytest_plugins = ("tests.integration.local.graph_fixtures",)
AHEAD = timedelta(days=40)
NASTY = ExportPolicy(mean_delay=0, error_500=0.05, error_503=0.05, error_429=0.05)
FEW = Limits(export=1_000)


@pytest_asyncio.fixture
async def tenant(tmp_path: Path) -> AsyncIterator[tuple[Simulator, list[Change]]]:
    """A friendly Graph whose clock is ahead, and a day that nobody was notified of."""
    clock = Clock(lambda: datetime.now(UTC) + AHEAD)
    async with Simulator(folder=tmp_path, faults=Faults.friendly(), timing=FAST, clock=clock, limits=FEW) as graph:
        changes = graph.day(DAY, interactions=60, users=3, chats=1)
        graph.happen(changes)
        yield graph, changes


def user_of(changes: list[Change]) -> str:
    owners = [owner for change in changes for owner in change.user_ids]
    return max(set(owners), key=owners.count)


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_everything_of_a_user_as_it_was_notified(tenant: tuple[Simulator, list[Change]], version: str) -> None:
    graph, changes = tenant
    user = user_of(changes)
    found = await pages(graph, path_of(user, version), filter=WINDOW, top="100")
    expected = latest(changes, user)
    shown = {identity(item): item for item in items(found)}
    assert shown == {name: content(change) for name, change in expected.items()}
    assert found[0]["@odata.context"].endswith(f"/{version}/$metadata#Collection(microsoft.graph.aiInteraction)")
    assert graph.requests["EXPORT"] == len(found)


async def test_every_answer_has_the_simulated_date(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    for path in (path_of(user_of(changes)), "/v1.0/nothing"):
        _, _, response = await ask(graph, path)
        date = parsedate_to_datetime(response.headers["Date"])
        assert abs(date - datetime.now(UTC) - AHEAD) < timedelta(minutes=1)


async def test_pages_lead_to_each_other(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    user = user_of(changes)
    wanted = f"{WINDOW} and (appClass eq 'IPM.SkypeTeams.Message.Copilot.BizChat' or appClass eq 'x')"
    _, page, _ = await ask(graph, path_of(user).upper().replace("V1.0", "v1.0") + "()", filter=wanted, top="2")
    link = page["@odata.nextLink"]
    assert link.startswith(
        f"{graph.graph_endpoint}{path_of(user.upper())}?$top=2&$filter=createdDateTime+gt+2026-03-01T00%3a"
    )
    assert "+and+(appClass+eq+%27IPM.SkypeTeams.Message.Copilot.BizChat%27+or+" in link
    token = link.rpartition("&$skiptoken=")[2].replace("%3d", "=")
    assert base64.b64decode(token).decode().startswith("SkipValue=2#MailboxFolder=MailFolders/")
    _, page, _ = await ask(graph, path_of(user))
    assert len(page["value"]) == 10
    assert "&$top" not in page["@odata.nextLink"]


async def test_a_choice_of_applications(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    user = user_of(changes)
    chosen = "ipm.skypeteams.message.copilot.bizchat"
    found = items(await pages(graph, path_of(user), filter=f"appClass eq '{chosen}'", top="7"))
    mine = latest(changes, user)
    expected = {name for name, change in mine.items() if str(change.properties["appClass"]).lower() == chosen}
    assert {identity(item) for item in found} == expected
    assert 0 < len(expected) < len(mine)


async def test_bounds_are_exclusive(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    user = user_of(changes)
    change = next(each for each in latest(changes, user).values() if each.change_type == "created")
    assert identity(content(change)) in {
        identity(item) for item in items(await pages(graph, path_of(user), filter=between(change)))
    }
    assert items(await pages(graph, path_of(user), filter=between(change, 0))) == []


REFUSED = [
    ({"filter": "createdDateTime gt 2026-03-01T00:00:00Z"}, 500, "InternalServerError"),
    ({"filter": WINDOW.replace("gt", "ge")}, 400, "BadRequest"),
    ({"filter": "sessionId eq 'x'"}, 400, "BadRequest"),
    ({"top": "0"}, 400, "BadRequest"),
    ({"top": "101"}, 400, "BadRequest"),
    ({"top": "ten"}, 400, "BadRequest"),
    ({"orderby": "createdDateTime"}, 400, "BadRequest"),
    ({"count": "true"}, 400, "BadRequest"),
    ({"select": "id"}, 400, "BadRequest"),
    ({"skiptoken": "U2tpcFZhbHVlPTEwI01haWxib3hGb2xkZXI9TWFpbEZvbGRlcnMvVGVhbUNoYXQ="}, 400, "BadRequest"),
    ({"skiptoken": ""}, 400, "BadRequest"),
]


@pytest.mark.parametrize(("options", "status", "code"), REFUSED)
async def test_questions_that_graph_refuses(
    tenant: tuple[Simulator, list[Change]], options: dict[str, str], status: int, code: str
) -> None:
    graph, changes = tenant
    answered, body, _ = await ask(graph, path_of(user_of(changes)), **options)
    assert (answered, body["error"]["code"]) == (status, code)


async def test_an_option_comes_once(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    status, body, _ = await call(graph, "GET", path_of(user_of(changes)) + "?$top=5&$top=6")
    assert (status, "more than once" in body["error"]["message"]) == (400, True)


async def test_a_token_is_for_its_question_and_ages(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    user = user_of(changes)
    _, page, _ = await ask(graph, path_of(user), top="3", filter=WINDOW)
    link = page["@odata.nextLink"].removeprefix(graph.graph_endpoint)
    assert (await call(graph, "GET", link))[0] == 200
    for other in (link.replace("top=3", "top=4"), link.replace("$top=3&", ""), link.replace("03-01", "03-02")):
        assert (await call(graph, "GET", other))[0] == 400
    graph.clock.advance(timedelta(hours=1, seconds=1))
    status, body, _ = await call(graph, "GET", link)
    assert (status, "skip token" in body["error"]["message"]) == (400, True)


async def test_who_may_be_exported_and_by_whom(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    user = user_of(changes)
    path = path_of(user)
    graph.enable_user(user, enabled=False)
    assert (await ask(graph, path))[0] == 200
    graph.unlicense(user)
    status, body, _ = await ask(graph, path)
    assert (status, body["error"]["code"], body["error"]["message"]) == (403, "Forbidden", "UnknownError")
    graph.policy.export = replace(graph.policy.export, serve_former=True)
    assert (await ask(graph, path))[0] == 200
    graph.policy.export = replace(graph.policy.export, serve_former=False)
    graph.license(user)
    assert (await ask(graph, path))[0] == 200
    graph.delete_user(user)
    assert (await ask(graph, path))[0] == 404
    assert (await ask(graph, path_of("00000000-0000-4000-8000-000000000001")))[0] == 404
    unlicensed = next(each.id for each in graph.directory.accounts() if not each.is_licensed)
    assert (await ask(graph, path_of(unlicensed)))[0] == 403
    fresh = next(each for each in graph.directory.accounts() if each.is_licensed and each.id != user)
    assert (await ask(graph, path_of(fresh.principal_name)))[0] == 200
    await graph.revoke_consent(["AiEnterpriseInteraction.Read.All"])
    status, body, _ = await ask(graph, path_of(fresh.id))
    assert (status, body["error"]["code"]) == (403, "Forbidden")
    assert "AiEnterpriseInteraction.Read.All" in body["error"]["message"]
    assert (await call(graph, "GET", path, Authorization="Bearer x"))[0] == 401


@pytest.mark.parametrize("kind", ["403", "404", "500", "503"])
async def test_people_whose_export_always_fails(tenant: tuple[Simulator, list[Change]], kind: Trouble) -> None:
    graph, changes = tenant
    user = user_of(changes)
    graph.trouble(user.upper(), kind)
    status, _, response = await ask(graph, path_of(user))
    assert (status, "Retry-After" in response.headers) == (int(kind), kind == "503")
    graph.trouble(user, None)
    assert (await ask(graph, path_of(user)))[0] == 200


async def test_a_slow_mailbox_answers_in_the_end(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    graph.policy.export = replace(graph.policy.export, slow_seconds=0.05)
    graph.trouble(user_of(changes), "slow")
    assert (await ask(graph, path_of(user_of(changes))))[0] == 200
    unknown: str = "late"
    with pytest.raises(ValueError, match="slow"):
        graph.trouble("x", unknown)  # type: ignore[arg-type]  # that is the point


async def test_a_tenant_may_refuse_filters(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    path = path_of(user_of(changes))
    graph.policy.export = replace(graph.policy.export, refuse_combination=True)
    assert (await ask(graph, path, filter=f"{WINDOW} and appClass eq 'x'"))[0] == 400
    assert (await ask(graph, path, filter=WINDOW))[0] == 200
    graph.policy.export = replace(graph.policy.export, refuse_filter=True)
    assert (await ask(graph, path, filter=WINDOW))[0] == 400
    assert (await ask(graph, path))[0] == 200


async def test_the_whole_tenant_only_where_the_policy_has_it(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    path = "/v1.0/copilot/interactionHistory/getAllEnterpriseInteractions"
    status, body, _ = await ask(graph, path, filter=WINDOW)
    assert (status, body["error"]["code"]) == (400, "BadRequest")
    graph.policy.export = replace(graph.policy.export, tenant_export=True)
    found = await pages(graph, path, filter=WINDOW, top="50")
    assert {identity(item) for item in items(found)} == set(latest(changes))
    assert found[0]["@odata.nextLink"].startswith(f"{graph.graph_endpoint}{path}?$top=50&$filter=")
    assert (await ask(graph, path, filter=WINDOW.replace("gt", "ge").replace("lt", "le")))[0] == 400


async def test_a_nasty_export_loses_nothing(tmp_path: Path) -> None:
    async with Simulator(folder=tmp_path, timing=FAST, export=NASTY, limits=FEW) as graph:
        changes = graph.day(DAY, interactions=150, users=2, chats=0)
        graph.happen(changes)
        user = user_of(changes)
        found = await pages(graph, path_of(user), filter=WINDOW, top="10")
        expected = latest(changes, user)
        shown = {identity(item): canonical_sha256(json.dumps(item).encode()) for item in items(found)}
        assert shown == {name: canonical_sha256(change.plaintext) for name, change in expected.items()}
        assert len(items(found)) > len(shown)
        assert any(not page["value"] and "@odata.nextLink" in page for page in found)
        assert any("@odata.count" in page for page in found)
        assert any("@odata.type" in item for item in items(found))
        assert all(page["@odata.count"] == len(page["value"]) for page in found if "@odata.count" in page)


async def test_thirty_requests_a_second(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    graph.policy.limits = Limits(export=2, export_window=60.0)
    path, token = path_of(user_of(changes)), await graph.graph_token()
    graph.policy.export = replace(graph.policy.export, grace=0.0)
    statuses = [(await ask(graph, path, token))[0] for _ in range(2)]
    status, body, response = await ask(graph, path, token)
    assert [*statuses, status, body["error"]["code"]] == [200, 200, 429, "TooManyRequests"]
    assert 50 <= int(response.headers["Retry-After"]) <= 60
    assert graph.violations == []
    assert (await ask(graph, path, token))[0] == 429
    assert [(each.rule, each.user_id) for each in graph.violations] == [("sent-while-throttled", user_of(changes))]
    (event,) = [each for each in graph.ledger().events if each["line"] == "violation"]
    assert (event["rule"], event["user"]) == ("sent-while-throttled", user_of(changes))
    assert graph.requests["EXPORT"] == 4


async def test_exports_in_a_batch(tenant: tuple[Simulator, list[Change]]) -> None:
    graph, changes = tenant
    graph.policy.limits = Limits(export=2)
    url = path_of(user_of(changes)).removeprefix("/v1.0") + "?$top=5&$filter=" + WINDOW.replace(" ", "%20")
    steps = [{"id": str(number), "method": "GET", "url": url} for number in range(3)]
    steps.append({"id": "bad", "method": "GET", "url": path_of("nobody").removeprefix("/v1.0") + "?$top=x"})
    steps.append({"id": "after", "method": "GET", "url": "/subscribedSkus", "dependsOn": ["bad"]})  # type: ignore[dict-item]  # a list
    status, body, _ = await call(graph, "POST", "/v1.0/$batch", {"requests": steps})
    answers = {each["id"]: each for each in body["responses"]}
    assert status == 200
    assert sorted(answers[name]["status"] for name in ("0", "1", "2", "bad")) in (
        [200, 200, 429, 429],
        [200, 400, 429, 429],
    )
    assert answers["after"]["status"] == 424
    good = next(each for each in answers.values() if each["status"] == 200)
    assert len(good["body"]["value"]) == 5
    assert good["body"]["@odata.nextLink"].startswith(graph.graph_endpoint + path_of(user_of(changes)))
