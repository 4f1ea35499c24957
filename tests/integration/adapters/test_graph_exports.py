"""The Exports port: against the simulated Graph, and against one that misbehaves."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from local.graph import ExportPolicy, Simulator, ThreadedSimulator, run_in_thread
from local.graph.content.change import Change
from local.graph.export_api import Trouble
from local.graph.policy import Limits
from shared.adapters.graph_exports import GraphExports, http_date
from shared.adapters.graph_http import GraphHttp
from shared.core.errors import GraphNotFound, GraphRefused, GraphUnavailable
from shared.core.export_window import date_filter
from shared.ports import ExportPage
from tests.integration.adapters.credentials import OneToken, app_credential
from tests.integration.adapters.odd_graph import DATE, OddGraph
from tests.integration.local.graph_exports import latest

NOW = datetime(2026, 1, 5, 9, 30, 10, tzinfo=UTC)
USER = "8b081ef6-4792-4def-b2c9-c363a1bf41d5"
OTHER = "00000000-4792-4def-b2c9-c363a1bf41d5"
OF_USER = f"/v1.0/copilot/users/{USER}/interactionHistory/getAllEnterpriseInteractions"
OF_TENANT = "/v1.0/copilot/interactionHistory/getAllEnterpriseInteractions"
ITEM: dict[str, object] = {"id": "1", "etag": "1", "createdDateTime": "2026-01-05T09:00:00Z"}
DAY = datetime(2026, 1, 5, tzinfo=UTC)


# ---- the simulated Graph


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadedSimulator]:
    # Thirty requests a second are soon asked where nobody paces them; being throttled is played where it is meant.
    limits = Limits(export=10_000)
    folder = tmp_path_factory.mktemp("cloud")
    with run_in_thread(folder=folder, limits=limits, export=ExportPolicy.friendly()) as running:
        yield running


@pytest.fixture(scope="module")
def changes(cloud: ThreadedSimulator) -> list[Change]:
    """A day of interactions that have happened."""

    def happen(graph: Simulator) -> list[Change]:
        made = graph.day(DAY.date(), interactions=900, users=3, chats=1)
        graph.happen(made)
        return [each for each in made if each.kind == "aiInteraction"]

    return cloud.call(happen)


@pytest.fixture
def exports(cloud: ThreadedSimulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[GraphExports]:
    graph = cloud.graph
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(graph.ca_file))
    set_policy(cloud)
    yield GraphExports(GraphHttp(graph.graph_endpoint, "v1.0", app_credential(graph), lambda: datetime.now(UTC)))
    set_policy(cloud)


def set_policy(cloud: ThreadedSimulator, **changed: object) -> None:
    policy = ExportPolicy.friendly(**changed)
    cloud.call(lambda graph: setattr(graph.policy, "export", policy))


def all_of(exports: GraphExports, page: ExportPage) -> list[ExportPage]:
    pages = [page]
    while pages[-1].next_link is not None:
        pages.append(exports.next_page(pages[-1].next_link))
    return pages


def keys(pages: list[ExportPage]) -> list[tuple[object, object, object]]:
    items = [item for page in pages for item in page.items if isinstance(item, dict)]
    return [(item["sessionId"], item["requestId"], item["id"]) for item in items]


def test_all_of_a_users_interactions_are_paged_through(exports: GraphExports, changes: list[Change]) -> None:
    user = next(iter(changes[0].user_ids))
    wanted = set(latest(changes, user))
    pages = all_of(exports, exports.first_page(user, date_filter(DAY, DAY + timedelta(days=1))))

    assert len(wanted) > 100, "one page would be no test"
    assert set(keys(pages)) == wanted
    assert all(abs(page.graph_now - datetime.now(UTC)) < timedelta(minutes=5) for page in pages)
    assert all(page.graph_now.tzinfo is UTC for page in pages)


def test_pages_of_every_shape_lead_to_the_same(
    exports: GraphExports, cloud: ThreadedSimulator, changes: list[Change]
) -> None:
    set_policy(cloud, empty=0.3, short=0.5, repeated=0.5, counted=0.5, variants=1.0)
    user = next(iter(changes[0].user_ids))
    wanted = set(latest(changes, user))
    pages = all_of(exports, exports.first_page(user, date_filter(DAY, DAY + timedelta(days=1))))

    assert set(keys(pages)) == wanted
    assert any(not page.items and page.next_link for page in pages), "an empty page that leads on"


def test_the_whole_tenant_where_graph_has_that(
    exports: GraphExports, cloud: ThreadedSimulator, changes: list[Change]
) -> None:
    set_policy(cloud, tenant_export=True)
    pages = all_of(exports, exports.first_page(None, None))

    assert set(keys(pages)) == set(latest(changes))


def test_app_classes_are_asked_for_as_graph_understands_them(exports: GraphExports, changes: list[Change]) -> None:
    user = next(iter(changes[0].user_ids))
    app_class = str(changes[0].properties["appClass"])
    query = date_filter(DAY, DAY + timedelta(days=1), (app_class, "somebody's app & more"))
    pages = all_of(exports, exports.first_page(user, query))
    shown = [item for page in pages for item in page.items if isinstance(item, dict)]

    assert shown
    assert {str(item["appClass"]).lower() for item in shown} == {app_class.lower()}


def test_who_is_not_there_is_not_found(exports: GraphExports) -> None:
    with pytest.raises(GraphNotFound):
        exports.first_page(OTHER, None)


@pytest.mark.parametrize(
    ("trouble", "error"),
    [("403", GraphRefused), ("404", GraphNotFound), ("500", GraphUnavailable), ("503", GraphUnavailable)],
)
def test_every_trouble_has_its_error(
    exports: GraphExports, cloud: ThreadedSimulator, changes: list[Change], trouble: Trouble, error: type[Exception]
) -> None:
    user = next(iter(changes[0].user_ids))
    cloud.call(lambda graph: graph.trouble(user, trouble))
    try:
        with pytest.raises(error):
            exports.first_page(user, None)
    finally:
        cloud.call(lambda graph: graph.trouble(user, None))


def test_a_tenant_that_takes_no_filter_says_400(
    exports: GraphExports, cloud: ThreadedSimulator, changes: list[Change]
) -> None:
    set_policy(cloud, refuse_filter=True)
    user = next(iter(changes[0].user_ids))
    with pytest.raises(GraphRefused) as refused:
        exports.first_page(user, date_filter(DAY, DAY + timedelta(days=1)))

    assert refused.value.status == 400
    assert exports.first_page(user, None).items


def test_throttled_it_says_so(exports: GraphExports, cloud: ThreadedSimulator, changes: list[Change]) -> None:
    set_policy(cloud, error_429=1.0)
    with pytest.raises(GraphUnavailable) as raised:
        exports.first_page(next(iter(changes[0].user_ids)), None)

    assert raised.value.throttled
    assert timedelta(seconds=1) <= raised.value.retry_after <= timedelta(minutes=1)


# ---- a Graph that misbehaves, or somebody in between


@pytest.fixture
def odd(graph: OddGraph) -> GraphExports:
    return GraphExports(GraphHttp(graph.origin, "v1.0", OneToken(), lambda: NOW))


def test_the_request_is_the_documented_one(graph: OddGraph, odd: GraphExports) -> None:
    graph.answer(OF_USER, {"value": []})
    query = date_filter(DAY, NOW, ("it's", "a+b&c"))
    odd.first_page(USER, query)

    target = graph.asked[0].target
    assert target.startswith(f"{OF_USER}?$top=100&$filter=createdDateTime%20gt%20")
    assert not set(urlsplit(target).query) & set(" +'")
    assert parse_qsl(urlsplit(target).query, strict_parsing=True) == [("$top", "100"), ("$filter", query)]


def test_without_a_filter_none_is_sent(graph: OddGraph, odd: GraphExports) -> None:
    graph.answer(OF_TENANT, {"value": [ITEM]})

    assert odd.first_page(None, None).items == [ITEM]
    assert graph.asked[0].target == f"{OF_TENANT}?$top=100"


@pytest.mark.parametrize(
    "query",
    [
        "$filter=createdDateTime+gt+2026-01-05T00:00:00Z+and+createdDateTime+lt+2026-01-06&$skiptoken=U2tpcA%3D%3D",
        "$top=100&$filter=appClass%20eq%20%27a%27&$skiptoken=U2tpcFZhbHVlPTEwI01haWw=",
        "$skiptoken=a%2Bb%2fc",
    ],
)
@pytest.mark.parametrize(
    "path",
    [
        OF_USER,
        OF_USER.lower(),
        f"{OF_USER}()",
        f"/v1.0/copilot/users('{USER.upper()}')/interactionHistory/getAllEnterpriseInteractions",
        f"/v1.0/copilot/users/{USER}/interactionHistory/microsoft.graph.getAllEnterpriseInteractions()",
    ],
)
def test_the_next_page_is_asked_for_as_it_was_named(graph: OddGraph, odd: GraphExports, path: str, query: str) -> None:
    link = f"{graph.origin}{path}?{query}"
    graph.answer(OF_USER, {"value": [ITEM], "@odata.nextLink": link})
    graph.answer(path, {"value": [ITEM], "@odata.nextLink": link})
    page = odd.first_page(USER, None)
    assert page.next_link == link

    odd.next_page(link)
    # Upper case in percent-encodings is the same to everybody: https://www.rfc-editor.org/rfc/rfc3986#section-6.2.2.1
    assert graph.asked[1].target == re.sub(r"%..", lambda code: code[0].upper(), f"{path}?{query}")


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example{path}?$skiptoken=x",
        "{origin}.evil.example{path}?$skiptoken=x",
        "{origin}@evil.example{path}?$skiptoken=x",
        "http:{hostport}{path}?$skiptoken=x",
        "{hostport}{path}",
        "{path}?$skiptoken=x",
        "{origin}/v1.0/users",
        "{origin}/beta/copilot/users/x/interactionHistory/getAllEnterpriseInteractions",
        "{origin}{path}/../../users",
        "{origin}{path}/x",
        "{origin}/x{path}",
        "{origin}/v1.0/copilot/users/a/b/interactionHistory/getAllEnterpriseInteractions",
        "{origin}{path}?$skiptoken=x y",
        "",
        "https://[",
    ],
)
def test_a_next_page_that_is_elsewhere_is_not_followed(graph: OddGraph, odd: GraphExports, link: str) -> None:
    where = link.format(origin=graph.origin, path=OF_USER, hostport=graph.origin.removeprefix("https:"))
    graph.answer(OF_USER, {"value": [ITEM], "@odata.nextLink": where})
    page = odd.first_page(USER, None)
    # What came so far is taken; the walk ends at the link.
    assert page.items == [ITEM]
    with pytest.raises(GraphUnavailable, match="elsewhere"):
        odd.next_page(page.next_link or "")

    assert len(graph.asked) == 1


@pytest.mark.parametrize("whose", [OF_USER.replace(USER, OTHER), OF_TENANT])
def test_a_page_that_goes_on_with_somebody_else_is_nobodys(graph: OddGraph, odd: GraphExports, whose: str) -> None:
    graph.answer(OF_USER, {"value": [ITEM], "@odata.nextLink": f"{graph.origin}{whose}?$skiptoken=x"})
    with pytest.raises(GraphUnavailable, match="another's"):
        odd.first_page(USER, None)

    graph.answer(f"{OF_USER}?$skiptoken=y", {"value": [ITEM], "@odata.nextLink": f"{graph.origin}{whose}"})
    with pytest.raises(GraphUnavailable, match="another's"):
        odd.next_page(f"{graph.origin}{OF_USER}?$skiptoken=y")


@pytest.mark.parametrize("link", [5, ["x"], {}, True])
def test_a_next_page_that_is_no_text_is_no_end(graph: OddGraph, odd: GraphExports, link: object) -> None:
    graph.answer(OF_USER, {"value": [ITEM], "@odata.nextLink": link})
    with pytest.raises(GraphUnavailable, match="nowhere"):
        odd.first_page(USER, None)


@pytest.mark.parametrize("link", [{}, {"@odata.nextLink": None}])
def test_without_a_next_page_it_is_the_last(graph: OddGraph, odd: GraphExports, link: dict[str, None]) -> None:
    graph.answer(OF_USER, {"value": [], "@odata.count": 0, **link})

    assert odd.first_page(USER, None).next_link is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>sign in</html>", b"null", b"[]", b"{}", b'{"value": null}', b'{"value": {}}', b'{"value": ["']
)
def test_a_success_that_is_no_page_is_not_the_end(graph: OddGraph, odd: GraphExports, body: bytes) -> None:
    graph.answer(OF_USER, body)
    with pytest.raises(GraphUnavailable, match=f"user {USER}: the answer is no list"):
        odd.first_page(USER, None)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(graph: OddGraph, odd: GraphExports, status: int) -> None:
    graph.answer(OF_USER, {}, status, Location=f"{graph.origin}{OF_TENANT}")
    with pytest.raises(GraphRefused):
        odd.first_page(USER, None)

    assert len(graph.asked) == 1


def test_items_are_what_they_are(graph: OddGraph, odd: GraphExports) -> None:
    # What is no interaction is the flow's to judge: nothing is dropped here.
    items: list[object] = [ITEM, None, 5, "x", {"nested": [[[]]]}, {"text": "😀\u0000\ud83d"}]
    graph.answer(OF_USER, json.dumps({"value": items}).encode())

    assert odd.first_page(USER, None).items == items


# ---- what time it is by Graph's clock


def test_graphs_clock_is_the_date_of_its_answer(graph: OddGraph, odd: GraphExports) -> None:
    graph.answer(OF_USER, {"value": []}, Date="Sun, 04 Jan 2026 23:59:59 GMT")

    assert odd.first_page(USER, None).graph_now == datetime(2026, 1, 4, 23, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize("date", [None, "", "yesterday", DATE.replace("GMT", "+0100")])
def test_without_a_date_it_is_our_clock(graph: OddGraph, odd: GraphExports, date: str | None) -> None:
    headers = {} if date is None else {"Date": date}
    graph.write(OF_USER, lambda wire: wire.whole(200, headers, b'{"value": []}'))

    assert odd.first_page(USER, None).graph_now == NOW


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "2026-01-05T09:30:10Z",
        "Mon, 5 Jan 2026 09:30:10 GMT",
        "Mon, 05 Jan 2026 09:30:10 UTC",
        "Mon, 05 Jan 2026 09:30:10 +0000",
        "Mon, 05 Jan 2026 09:30:10",
        "Monday, 05-Jan-26 09:30:10 GMT",
        "Mon Jan  5 09:30:10 2026",
        "Mon, 05 Jan 2026 09:30:10 GMT ",
        "mon, 05 jan 2026 09:30:10 gmt",
        "Mon, 31 Feb 2026 09:30:10 GMT",
        "Mon, 05 Jan 2026 25:30:10 GMT",
        "Mon, 05 Jan 0000 09:30:10 GMT",
        "Mon, ٠5 Jan 2026 09:30:10 GMT",
        "Mon, 05 Jan 2026 09:30:10 GMT, Mon, 05 Jan 2026 09:30:10 GMT",
    ],
)
def test_what_is_not_exactly_a_date_is_none(text: str | None) -> None:
    assert http_date(text) is None


def test_a_date_is_an_instant() -> None:
    assert http_date(DATE) == NOW


def test_a_users_id_is_no_path(graph: OddGraph, odd: GraphExports) -> None:
    with pytest.raises(GraphNotFound):
        odd.first_page("../../users", None)

    assert graph.asked[0].target.startswith(f"/v1.0/copilot/users/{quote('../../users', safe='')}/interactionHistory")
