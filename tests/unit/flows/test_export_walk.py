"""Pages of a window, whatever Graph answers: repeated here, left to the queue, or told as refused."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.core.errors import GraphNotFound, GraphRefused, GraphUnavailable, StorageUnavailable
from shared.core.export_window import date_filter
from shared.core.graph_fault import DEFAULT_RETRY_AFTER, MAX_RETRY_AFTER
from shared.core.metrics import EXPORT_REQUESTS
from shared.flows import export_walk
from shared.flows.export_walk import LONGEST_WAIT, RESTARTS, TRIES, Walk
from shared.ports import ExportPage
from tests.fake_exports import MemoryExports, MemoryPace
from tests.fake_telemetry import MemoryTelemetry
from tests.fakes import NOW, World
from tests.unit.flows.exporting import ALICE, ago, prompt

BEGIN = ago(days=2)
MANY = 8


class Setup:
    """A mailbox of eight, shown one by one, and a walk over it."""

    def __init__(self) -> None:
        self.world = World()
        self.exports = MemoryExports(self.world, shapes=(1,))
        self.exports.put(ALICE, *(prompt(ago(hours=hour)) for hour in range(1, MANY + 1)))
        self.pace = MemoryPace(self.world)
        self.telemetry = MemoryTelemetry()
        self.walk = Walk(self.exports, self.pace, ALICE, (), self.world.sleep, self.telemetry)

    def ids(self) -> list[str]:
        """What is shown, in order, as often as it is."""
        return [str(item["id"]) for page in self.walk.pages(BEGIN, NOW) for item in page.items]  # type: ignore[index] # all are prompts

    @property
    def holds(self) -> int:
        """How often all instances were told to wait."""
        return self.world.called("pace.hold")

    @property
    def answers(self) -> dict[str, int]:
        """Requests by answer, as told to telemetry."""
        return {answer: count for (answer,), count in self.telemetry.counted(EXPORT_REQUESTS).items()}


@pytest.fixture
def setup() -> Setup:
    return Setup()


class TestPages:
    def test_all_are_walked_in_order_one_request_and_one_slot_each(self, setup: Setup) -> None:
        ids = setup.ids()

        assert ids == sorted(ids, reverse=True)
        assert len(ids) == setup.walk.requests == MANY
        assert setup.world.called("pace.wait") == MANY
        assert setup.exports.queries == [(ALICE, date_filter(BEGIN, NOW))]
        assert setup.answers == {"200": MANY}
        assert setup.world.slept == []
        assert setup.holds == 0

    def test_a_slot_is_taken_before_each_request(self, setup: Setup) -> None:
        setup.ids()
        labels = [label.partition(" ")[0] for label in setup.world.calls]

        assert labels == ["pace.wait", "exports.first_page", *["pace.wait", "exports.next_page"] * (MANY - 1)]

    def test_nothing_is_asked_for_ahead(self, setup: Setup) -> None:
        next(setup.walk.pages(BEGIN, NOW))

        assert setup.walk.requests == 1

    def test_an_empty_mailbox_is_one_page(self, setup: Setup) -> None:
        setup.exports.forget(ALICE)
        setup.exports.know(ALICE)

        assert setup.ids() == []
        assert setup.walk.requests == 1

    def test_requests_are_counted_over_all_windows_of_a_walk(self, setup: Setup) -> None:
        setup.ids()
        setup.ids()

        assert setup.walk.requests == 2 * MANY

    def test_only_wanted_classes_are_asked_for(self, setup: Setup) -> None:
        setup.walk.app_classes = ("it's",)
        setup.ids()

        assert setup.exports.queries == [(ALICE, date_filter(BEGIN, NOW, ("it's",)))]


FIRST_AND_NEXT = pytest.mark.parametrize("call", ["exports.first_page", "exports.next_page"])


class TestThrottled:
    @FIRST_AND_NEXT
    @pytest.mark.parametrize(
        ("header", "wait"),
        [
            ("7", 7),
            ("0", 1),
            ("-5", 1),
            ("Mon, 05 Jan 2026 09:30:25 GMT", 15),
            ("Mon, 05 Jan 2026 09:00:00 GMT", 1),
            ("20", 20),
        ],
    )
    def test_a_short_hold_is_told_to_all_and_waited_for_at_the_pace(
        self, setup: Setup, call: str, header: str, wait: int
    ) -> None:
        if header == "-5":
            wait = int(DEFAULT_RETRY_AFTER.total_seconds())  # no number of seconds: then it is as if nothing was said
        setup.exports.refuse(call, 429, retry_after=header)
        if wait > LONGEST_WAIT.total_seconds():
            with pytest.raises(GraphUnavailable):
                setup.ids()
        else:
            assert len(setup.ids()) == MANY
            assert setup.walk.requests == MANY + 1
            assert setup.answers == {"200": MANY, "429": 1}
            assert setup.world.now - NOW == timedelta(seconds=wait)
        assert setup.holds == 1
        assert setup.world.slept == []
        assert setup.pace.held_until == NOW + timedelta(seconds=wait)

    @FIRST_AND_NEXT
    @pytest.mark.parametrize(
        ("header", "wait"),
        [
            (None, DEFAULT_RETRY_AFTER),
            ("", DEFAULT_RETRY_AFTER),
            ("soon", DEFAULT_RETRY_AFTER),
            ("21", timedelta(seconds=21)),
            ("9999999999999", MAX_RETRY_AFTER),
            ("Mon, 05 Jan 2099 09:00:00 GMT", MAX_RETRY_AFTER),
        ],
    )
    def test_a_long_one_is_left_to_the_queue(
        self, setup: Setup, call: str, header: str | None, wait: timedelta
    ) -> None:
        setup.exports.refuse(call, 429, retry_after=header)
        with pytest.raises(GraphUnavailable) as caught:
            setup.ids()

        assert caught.value.throttled
        assert caught.value.retry_after == wait
        assert setup.pace.held_until == NOW + wait
        assert setup.world.now == NOW

    def test_after_some_tries_it_is_left_to_the_queue(self, setup: Setup) -> None:
        setup.exports.refuse("exports.first_page", 429, times=100, retry_after="2")
        with pytest.raises(GraphUnavailable) as caught:
            setup.ids()

        assert caught.value.throttled
        assert setup.walk.requests == setup.holds == TRIES
        assert setup.answers == {"429": TRIES}

    def test_a_hold_that_storage_does_not_take_is_raised(self, setup: Setup) -> None:
        setup.exports.refuse("exports.first_page", 429, retry_after="2")
        setup.world.fail("pace.hold")
        with pytest.raises(StorageUnavailable):
            setup.ids()

    def test_a_slot_that_is_far_off_is_no_request(self, setup: Setup) -> None:
        setup.pace.hold(timedelta(minutes=5))
        with pytest.raises(GraphUnavailable):
            setup.ids()

        assert setup.walk.requests == 0


class TestTrouble:
    @FIRST_AND_NEXT
    @pytest.mark.parametrize("status", [401, 408, 423, 500, 502, 503, 504])
    @pytest.mark.parametrize("times", range(1, TRIES))
    def test_it_is_tried_again_here_some_times_and_holds_nobody(
        self, setup: Setup, call: str, status: int, times: int
    ) -> None:
        setup.exports.refuse(call, status, times=times, retry_after="1")

        assert len(setup.ids()) == MANY
        assert setup.walk.requests == MANY + times
        assert setup.answers == {"200": MANY, "unavailable": times}
        assert setup.holds == 0
        assert len(setup.world.slept) == times
        assert all(0.5 * 2**turn <= slept <= 1.5 * 2**turn for turn, slept in enumerate(setup.world.slept))

    @FIRST_AND_NEXT
    @pytest.mark.parametrize("status", [503, 504])
    def test_never_before_graph_said(self, setup: Setup, call: str, status: int) -> None:
        setup.exports.refuse(call, status, times=2, retry_after="7")

        assert len(setup.ids()) == MANY
        assert setup.world.slept == [7, 7]

    @FIRST_AND_NEXT
    def test_then_it_is_left_to_the_queue(self, setup: Setup, call: str) -> None:
        setup.exports.refuse(call, 503, times=TRIES, retry_after="1")
        with pytest.raises(GraphUnavailable) as caught:
            setup.ids()

        assert not caught.value.throttled
        assert setup.answers["unavailable"] == TRIES
        assert len(setup.world.slept) == TRIES - 1

    def test_a_long_wait_that_is_asked_for_is_left_to_the_queue_at_once(self, setup: Setup) -> None:
        setup.exports.refuse("exports.first_page", 503, retry_after="21")
        with pytest.raises(GraphUnavailable):
            setup.ids()

        assert setup.walk.requests == 1
        assert setup.world.slept == []
        assert setup.holds == 0

    def test_no_answer_at_all_is_trouble(self, setup: Setup) -> None:
        setup.world.fail("exports.next_page", GraphUnavailable("it did not answer"), times=1)

        assert len(setup.ids()) == MANY


class TestRefusals:
    def test_the_first_page_refused_is_told_at_once(self, setup: Setup) -> None:
        for status, error in ((403, GraphRefused), (404, GraphNotFound), (402, GraphRefused)):
            setup.exports.refuse("exports.first_page", status)
            with pytest.raises(error):
                setup.ids()

        assert setup.answers == {"refused": 3}
        assert setup.walk.requests == 3

    def test_a_filter_that_is_refused_is_left_out(self, setup: Setup) -> None:
        setup.exports.takes_filter = False

        assert len(setup.ids()) == MANY
        assert setup.exports.queries == [(ALICE, date_filter(BEGIN, NOW)), (ALICE, None)]
        assert setup.answers == {"refused": 1, "200": MANY}

    def test_without_the_filter_a_refusal_is_a_refusal(self, setup: Setup) -> None:
        setup.exports.refuse("exports.first_page", 400, times=2)
        with pytest.raises(GraphRefused):
            setup.ids()

        assert setup.walk.requests == 2

    def test_forbidden_amid_the_pages_is_told(self, setup: Setup) -> None:
        setup.exports.refuse("exports.next_page", 403)
        with pytest.raises(GraphRefused):
            setup.ids()

        assert setup.walk.requests == 2

    @pytest.mark.parametrize("status", [400, 402, 404, 410])
    @pytest.mark.parametrize("times", range(1, RESTARTS + 1))
    def test_a_token_that_is_not_taken_starts_the_window_again(self, setup: Setup, status: int, times: int) -> None:
        setup.exports.refuse("exports.next_page", status, times=times)
        ids = setup.ids()

        assert len(ids) == MANY + times
        assert len(set(ids)) == MANY
        assert len(setup.exports.queries) == 1 + times

    def test_three_times_is_trouble(self, setup: Setup) -> None:
        setup.exports.refuse("exports.next_page", 410, times=RESTARTS + 1)
        with pytest.raises(GraphUnavailable, match="page tokens end"):
            setup.ids()

        assert setup.walk.requests == 2 * (RESTARTS + 1)

    def test_a_user_who_is_deleted_amid_the_pages_is_not_found(self, setup: Setup) -> None:
        def delete() -> None:
            setup.exports.expire_links()
            setup.exports.forget(ALICE)

        setup.world.meanwhile["exports.next_page"] = delete
        with pytest.raises(GraphNotFound):
            setup.ids()


class TestEndlessPages:
    def pages(self, setup: Setup, link: Callable[[int], str]) -> int:
        served = 0

        def page() -> ExportPage:
            nonlocal served
            served += 1
            return ExportPage((), link(served), NOW)

        serve(setup, page, lambda _: page())
        with pytest.raises(GraphUnavailable, match="circles"):
            setup.ids()
        return served

    @pytest.mark.parametrize("length", [1, 2, 5])
    def test_a_circle_ends_where_it_closes(self, setup: Setup, length: int) -> None:
        assert self.pages(setup, lambda number: f"link {number % length}") == length + 1

    def test_pages_without_end_end(self, setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(export_walk, "MAX_PAGES", 30)

        assert self.pages(setup, lambda number: f"link {number}") == 31

    def test_a_walk_that_starts_again_may_see_the_same_links(self, setup: Setup) -> None:
        links: list[str] = []

        def next_page(link: str) -> ExportPage:
            links.append(link)
            if len(links) == 2:
                raise GraphRefused("gone", code="", status=410)
            return ExportPage((), "b" if link == "a" else None, NOW)

        serve(setup, lambda: ExportPage((), "a", NOW), next_page)
        setup.ids()

        assert links == ["a", "b", "a", "b"]


def serve(setup: Setup, first: Callable[[], ExportPage], following: Callable[[str], ExportPage]) -> None:
    """A Graph of pages that no mailbox has."""
    setup.exports.first_page = lambda user_id, query: first()  # type: ignore[method-assign]  # noqa: ARG005 - see the port
    setup.exports.next_page = lambda link: following(link)  # type: ignore[method-assign]  # noqa: PLW0108 - see above
