"""Notifications without resource data: Graph gives it, or the export is asked for it, or an operator is told."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.errors import GraphConflict, GraphUnavailable, NoResourceData, StorageUnavailable
from shared.core.gap import EXPORTED_GAPS, GAPS, WITHOUT_CONTENT, Gap
from shared.core.instants import format_instant
from shared.core.notification import LATEST, parse_item
from shared.core.resources import CHAT
from shared.core.subscription_watch import WATCH, Tracked, Watch
from shared.core.watch_json import to_json
from shared.flows.archive import Archiving, Provenance
from shared.flows.corroboration import came_after_all
from shared.flows.fetch import EARLIEST, Fetching
from shared.flows.gaps import close, open_gaps
from shared.flows.rest import Outcome
from tests.fake_graph import FakeGraph
from tests.fakes import NOW, Crash
from tests.graph_posts import SUBSCRIPTION, TENANT, as_bytes, encrypted, interaction, notification, payload, post
from tests.unit.flows.capture import Capture
from tests.unit.flows.exporting import ALICE, Exports, prompt
from tests.unit.instants import instants

GENUINE = Provenance(NOW, tenants=frozenset({TENANT}))
TENANT_WIDE = "copilot/interactionHistory/getAllEnterpriseInteractions"
OF_ALICE = f"copilot/users/{ALICE}/interactionHistory/getAllEnterpriseInteractions"
PATH = "copilot/interactionHistory/interactions('1767605401234')"
HOUR = timedelta(hours=1)
NINE = datetime(2026, 1, 5, 9, tzinfo=UTC)


class Asking(Capture):
    """The worker, with a Graph to ask and an export to be asked for."""

    def __init__(self, *, exporting: bool = True) -> None:
        self.exporting = exporting
        self.graph: FakeGraph | None = None
        super().__init__()

    def restart(self) -> None:
        """A new process: nothing remembered but what is stored."""
        super().restart()
        self.graph = self.graph or FakeGraph(self.world)
        fetching = Fetching(self.graph, self.state, exporting=self.exporting)
        self.archiving: Archiving = replace(self.archiving, fetching=fetching)
        self.storing = replace(self.storing, archiving=self.archiving)
        self.replaying = replace(self.replaying, archiving=self.archiving)

    @property
    def asked(self) -> list[str]:
        """What Graph was asked for."""
        return [call.removeprefix("graph.resource ") for call in self.world.calls if call.startswith("graph.resource")]

    @property
    def gaps(self) -> list[Gap]:
        """The gaps that wait for the export."""
        return [gap for _, gap in open_gaps(self.state)]

    def take(self, item: object, received_at: datetime = NOW) -> Outcome:
        """One item."""
        return self.archiving.archive(item, replace(GENUINE, received_at=received_at))

    def watch(self, resource: str, subscription_id: str = SUBSCRIPTION) -> None:
        """A subscription of ours."""
        tracked = Tracked(subscription_id, resource, NOW + HOUR, None, NOW)
        self.state.create(WATCH, to_json(Watch({resource.lower(): tracked})), {})


@pytest.fixture
def setup() -> Asking:
    return Asking()


def bare(resource: Mapping[str, object] | None = None, /, **changes: object) -> dict[str, Any]:
    """A notification without resource data."""
    return notification(resource or interaction(), **{"encryptedContent": None, **changes})


def named(identifier: object, **about: object) -> dict[str, Any]:
    """One about that id."""
    return bare(resourceData={"@odata.type": "#microsoft.graph.aiInteraction", "id": identifier, **about})


class TestGraphGivesIt:
    def test_it_rests_where_its_content_would_have_brought_it(self, setup: Asking) -> None:
        assert setup.graph is not None
        setup.graph.resources[PATH] = as_bytes(interaction())

        assert setup.take(bare()) is Outcome.ARCHIVED
        assert setup.take(notification(interaction())) is Outcome.DUPLICATE
        assert setup.documents == [interaction()]
        assert setup.gaps == []

    def test_a_chat_is_asked_for_by_its_key(self, setup: Asking) -> None:
        assert setup.graph is not None
        chat = payload("chat")
        path = f"chats('{chat['id'].replace(':', '%3A').replace('@', '%40')}')"
        setup.graph.resources[path] = as_bytes(chat)
        item = bare(chat, resource=f"chats('{chat['id']}')", changeType="updated")
        item["resourceData"]["@odata.id"] = f"chats('{chat['id']}')"

        assert setup.take(item) is Outcome.ARCHIVED
        assert setup.documents == [chat]

    def test_what_it_gives_must_be_what_was_named(self, setup: Asking) -> None:
        assert setup.graph is not None
        setup.graph.resources[PATH] = as_bytes(interaction(id="1"))
        setup.store(post(bare()))

        assert setup.reasons == {"identity-mismatch": 1}
        assert setup.archived == {}

    @pytest.mark.parametrize("content", [b"", b"<html>", b"[]", b"\xff"], ids=repr)
    def test_what_is_no_resource_is_a_dead_letter(self, setup: Asking, content: bytes) -> None:
        assert setup.graph is not None
        setup.graph.resources[PATH] = content
        setup.store(post(bare()))

        assert setup.reasons == {"malformed-content": 1}

    def test_a_notification_with_content_asks_nobody(self, setup: Asking) -> None:
        setup.take(notification(interaction()))

        assert setup.asked == []

    def test_a_deletion_asks_nobody(self, setup: Asking) -> None:
        assert setup.take(bare(changeType="deleted")) is Outcome.ARCHIVED
        assert setup.asked == []
        assert setup.gaps == []


class TestGraphDoesNot:
    @pytest.mark.parametrize("status", [400, 402, 403, 404, 405, 409, 410, 501], ids=str)
    def test_the_export_is_asked_for_the_hour(self, setup: Asking, status: int) -> None:
        assert setup.graph is not None
        setup.graph.refuse("graph.resource", status)
        if status == 501:
            with pytest.raises(GraphUnavailable):
                setup.take(bare())
            assert setup.gaps == []
            return

        assert setup.take(bare()) is Outcome.ASKED_FOR
        assert setup.gaps == [Gap(TENANT_WIDE, NINE, NINE + HOUR, WITHOUT_CONTENT)]
        assert setup.archived == {}

    def test_one_that_is_asked_for_leaves_the_inbox(self, setup: Asking) -> None:
        setup.store(post(bare()))

        assert setup.inbox.blobs == {}
        assert setup.letters == []
        assert len(setup.gaps) == 1

    @pytest.mark.parametrize("status", [401, 408, 423, 429, 500, 503, 504], ids=str)
    def test_what_it_does_not_give_now_is_tried_again(self, setup: Asking, status: int) -> None:
        assert setup.graph is not None
        setup.graph.resources[PATH] = as_bytes(interaction())
        setup.graph.refuse("graph.resource", status)
        name = setup.keep(post(bare()))
        with pytest.raises(GraphUnavailable):
            setup.storing.store(name)
        assert list(setup.inbox.blobs) == [name]
        assert setup.gaps == []
        setup.storing.store(name)

        assert len(setup.archived) == 1

    def test_a_neighbour_that_waits_for_graph_holds_up_nobody(self, setup: Asking) -> None:
        assert setup.graph is not None
        setup.graph.refuse("graph.resource", 503)
        with pytest.raises(GraphUnavailable):
            setup.store(post(bare(), notification(interaction(id="1"))))

        assert len(setup.archived) == 1

    def test_without_an_export_it_is_a_dead_letter_with_graphs_reason(self) -> None:
        setup = Asking(exporting=False)
        assert setup.graph is not None
        setup.graph.refuse("graph.resource", 403, "Forbidden")
        setup.store(post(bare()))

        (letter,) = setup.letters
        assert letter.reason == "no-resource-data"
        assert "403 Forbidden" in letter.detail
        assert setup.gaps == []

    def test_a_kind_that_nothing_exports_is_a_dead_letter(self, setup: Asking) -> None:
        item = bare(payload("chat"), resource="chats('19:x@thread.v2')")
        item["resourceData"]["@odata.id"] = "chats('19:x@thread.v2')"
        setup.store(post(item))

        assert setup.reasons == {"no-resource-data": 1}
        assert "404" in setup.letters[0].detail
        assert setup.gaps == []

    def test_replayed_once_graph_gives_it_it_comes_to_rest(self) -> None:
        setup = Asking(exporting=False)
        setup.store(post(bare()))
        assert setup.graph is not None
        setup.graph.resources[PATH] = as_bytes(interaction())
        setup.replaying.replay(None)

        assert setup.letters == []
        assert setup.documents == [interaction()]

    def test_a_refusal_of_any_kind_is_one(self) -> None:
        class Odd:
            def resource(self, _: str) -> bytes:
                raise GraphConflict("it is in use", existing_id=None)

        setup = Asking()
        odd: Any = Odd()
        item = parse_item(bare())
        with pytest.raises(NoResourceData, match="it is in use"):
            Fetching(odd, setup.state, exporting=False).fetch(CHAT, item, NOW)


class TestWhatMayBeAskedFor:
    HOSTILE = (
        "https://evil.example/v1.0/chats('1')",
        "//evil.example/chats('1')",
        "users/adele",
        "me/messages",
        "chats('1')/messages/../../users",
        "chats('1%2F..%2Fusers')",
        "chats('1')?$expand=members",
        "chats('')",
        "chats('1')\r\nHost: evil.example",
        "../beta/chats('1')",
        "copilot/interactionHistory/getAllEnterpriseInteractions",
        "",
        " ",
        "x" * 100_000,
    )

    @pytest.mark.parametrize("path", HOSTILE, ids=range(len(HOSTILE)))
    def test_a_hostile_name_never_reaches_graph(self, setup: Asking, path: str) -> None:
        setup.take(named("1767605401234", **{"@odata.id": path}) | {"resource": path or "x"})

        assert setup.asked == []
        assert len(setup.gaps) == 1

    @pytest.mark.parametrize("about", [None, 5, {"id": 1}, ["chats('1')"], True], ids=str)
    def test_nor_does_what_is_no_name(self, setup: Asking, about: object) -> None:
        setup.take(named("1767605401234", **{"@odata.id": about}) | {"resource": "copilot/x"})

        assert setup.asked == []

    def test_where_it_names_itself_that_is_asked_for_and_not_the_collection_it_came_by(self, setup: Asking) -> None:
        setup.take(bare() | {"resource": TENANT_WIDE})

        assert setup.asked == [PATH]

    def test_without_one_the_resource_is_asked_for(self, setup: Asking) -> None:
        setup.take(named("1767605401234"))

        assert setup.asked == [PATH]

    def test_whoever_carries_no_clientstate_or_is_of_another_tenant_has_nothing_asked(self, setup: Asking) -> None:
        setup.store(post(bare(clientState="guessed"), bare(tenantId="0d9f8e7c-1111-4222-8333-944455556666"), bare()))

        assert setup.asked == [PATH]
        assert setup.reasons == {"client-state-mismatch": 1, "not-genuine": 1}


class TestWhichHours:
    @pytest.mark.parametrize(
        ("identifier", "begin"),
        [
            (NOW, NINE),
            (NOW - timedelta(minutes=31), NINE - HOUR),
            (NOW - timedelta(days=20), datetime(2025, 12, 16, 9, tzinfo=UTC)),
            (NOW - EARLIEST, datetime(2025, 12, 6, 9, tzinfo=UTC)),
            (NOW - EARLIEST - timedelta(seconds=1), NINE - LATEST),
            (NOW + timedelta(seconds=1), NINE - LATEST),
            (NOW + timedelta(days=400_000), NINE - LATEST),
        ],
        ids=str,
    )
    def test_from_when_it_was_created_where_that_can_be(
        self, setup: Asking, identifier: datetime, begin: datetime
    ) -> None:
        setup.take(named(str(round(identifier.timestamp() * 1000))))

        assert [(gap.begin, gap.end) for gap in setup.gaps] == [(begin, NINE + HOUR)]

    @pytest.mark.parametrize(
        "identifier",
        ["", "0", "-1", "1e9", "NaN", "AAMkAGI1", "9" * 400, "9" * 5000, "-" + "9" * 400, "1767605401.234", None],
        ids=range(11),
    )
    def test_an_id_that_is_no_time_is_taken_for_the_latest(self, setup: Asking, identifier: object) -> None:
        setup.take(named(identifier))

        assert [(gap.begin, gap.end) for gap in setup.gaps] == [(NINE - LATEST, NINE + HOUR)]

    @given(st.integers() | st.text(), instants(date(2024, 1, 1), date(2030, 1, 1)))
    def test_whatever_the_id_the_gap_holds_the_hour_of_receipt_and_nothing_from_before_a_month(
        self, identifier: object, received_at: datetime
    ) -> None:
        setup = Asking()
        item = {**named(str(identifier)), "resource": "copilot/x"}
        setup.take(item, received_at)
        (gap,) = setup.gaps

        assert received_at - EARLIEST - HOUR < gap.begin <= received_at < gap.end <= received_at + HOUR

    def test_a_thousand_in_an_hour_are_one(self, setup: Asking) -> None:
        for number in range(1000):
            at = NINE + timedelta(seconds=2 * number)
            setup.take(named(str(round(at.timestamp() * 1000))), at + timedelta(seconds=3))

        assert setup.gaps == [Gap(TENANT_WIDE, NINE, NINE + HOUR, WITHOUT_CONTENT)]

    def test_the_next_hour_is_another(self, setup: Asking) -> None:
        setup.take(named(str(round(NOW.timestamp() * 1000))))
        setup.take(named(str(round((NOW + HOUR).timestamp() * 1000))), NOW + HOUR)

        assert len(setup.gaps) == 2

    def test_a_late_one_opens_another_after_the_first_was_closed(self, setup: Asking) -> None:
        setup.take(bare())
        ((name, _),) = open_gaps(setup.state)
        close(setup.state, name, EXPORTED_GAPS)
        setup.take(bare(), NOW + 2 * HOUR)

        assert setup.gaps == [Gap(TENANT_WIDE, NINE, NINE + 3 * HOUR, WITHOUT_CONTENT)]


class TestWhose:
    def test_a_users_subscription_has_his_gap(self, setup: Asking) -> None:
        setup.watch(OF_ALICE)
        setup.take(bare(subscriptionId=SUBSCRIPTION.upper()))

        assert [gap.resource for gap in setup.gaps] == [OF_ALICE]

    def test_of_an_unknown_one_it_is_the_tenants(self, setup: Asking) -> None:
        setup.watch(OF_ALICE, "00000000-0000-0000-0000-000000000001")
        setup.take(bare())

        assert [gap.resource for gap in setup.gaps] == [TENANT_WIDE]

    def test_where_no_subscriptions_are_known_it_is_the_tenants(self, setup: Asking) -> None:
        setup.take(bare())

        assert [gap.resource for gap in setup.gaps] == [TENANT_WIDE]


class TestKilledAndUnanswered:
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("error", [Crash(), StorageUnavailable("no answer")], ids=["killed", "unanswered"])
    def test_wherever_it_ends_the_next_time_there_is_one_gap(self, error: BaseException, *, after: bool) -> None:
        body = post(bare())
        for number in range(1, 30):
            setup = Asking()
            setup.watch(OF_ALICE)
            name = setup.keep(body)
            setup.world.calls.clear()
            setup.world.fail_call(number, error, after=after)
            try:
                setup.storing.store(name)
                ended = len(setup.world.calls) <= number
            except (Crash, StorageUnavailable, GraphUnavailable):
                ended = False
            setup.world.recover()
            setup.restart()
            if name in setup.inbox.blobs:
                setup.storing.store(name)
            assert [name.partition("/")[0] + "/" for name in setup.state.blobs if "gaps" in name] == [GAPS], number
            assert setup.inbox.blobs == {}, number
            if ended:
                return
        raise AssertionError("it never ends")


class TestCorroboration:
    """An export that was quicker than the notification."""

    DAY = "2026-01-05"

    def both(self) -> tuple[Exports, Capture, dict[str, Any]]:
        """An interaction that the export has archived, and the worker of notifications on the same storage."""
        exports, capture = Exports(), Capture()
        item = prompt(NOW - 3 * HOUR)
        exports.exports.put(ALICE, item)
        exports.export()
        capture.archive["interactions"].blobs = exports.interactions.blobs
        return exports, capture, item

    def test_a_notification_that_comes_after_all_is_noted_once(self) -> None:
        exports, capture, item = self.both()
        for _ in range(3):
            assert capture.archiving.archive(notification(item), GENUINE) is Outcome.DUPLICATE

        assert came_after_all(capture.state, self.DAY) == 1
        assert len(exports.archived) == 1

    def test_one_that_was_first_is_not(self) -> None:
        capture = Capture()
        for _ in range(3):
            capture.archiving.archive(notification(interaction()), GENUINE)

        assert came_after_all(capture.state, self.DAY) == 0

    def test_one_that_says_something_else_came_after_all_too(self) -> None:
        _, capture, item = self.both()
        changed = notification({**item, "locale": "fr-fr"})
        assert [capture.archiving.archive(changed, GENUINE) for _ in range(2)] == [Outcome.CONFLICT, Outcome.DUPLICATE]

        assert came_after_all(capture.state, self.DAY) == 1

    def test_a_blob_of_unknown_origin_is_nobodys_word(self) -> None:
        _, capture, item = self.both()
        container = capture.archive["interactions"]
        ((name, blob),) = container.blobs.items()
        container.blobs = {name: replace(blob, metadata={})}
        capture.archiving.archive(notification(item), GENUINE)

        assert came_after_all(capture.state, self.DAY) == 0

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    @pytest.mark.parametrize("error", [Crash(), StorageUnavailable("no answer")], ids=["killed", "unanswered"])
    def test_wherever_it_is_broken_off_it_is_noted_once(self, error: BaseException, *, after: bool) -> None:
        for number in range(30):
            _, capture, item = self.both()
            content = encrypted(json.dumps(item).encode())
            body = post(notification(item, encryptedContent=content))
            name = capture.keep(body)
            capture.world.fail_call(len(capture.world.calls) + number, error, after=after)
            try:
                capture.storing.store(name)
                ended = True
            except (Crash, StorageUnavailable):
                ended = False
            capture.world.recover()
            if name in capture.inbox.blobs:
                capture.storing.store(name)
            assert came_after_all(capture.state, self.DAY) == 1, number
            assert capture.inbox.blobs == {}, number
            if ended:
                assert number > 4
                return
        raise AssertionError("it never ends")


def test_gaps_are_told_by_instants_that_everybody_reads(setup: Asking) -> None:
    setup.take(bare())
    ((_, blob),) = setup.state.blobs.items()

    assert json.loads(blob.content)["from"] == format_instant(NINE)
