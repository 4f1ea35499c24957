"""One user's window: what is archived, and when the checkpoint moves."""

import json
from datetime import timedelta
from itertools import pairwise

import pytest

from shared.core.checkpoint import OVERLAP, SETTLE, ExportProblem, Origin
from shared.core.checkpoint_json import checkpoint_name
from shared.core.errors import MalformedNotification, StorageUnavailable
from shared.core.export_state import SUMMARY
from shared.core.export_window import ExportWindow, from_message, to_message
from shared.core.instants import format_instant
from shared.flows import export
from shared.flows.export import FIRST_WAIT, SMALLEST_STEP
from shared.ports import ExportPage
from tests.fakes import NOW, Crash
from tests.graph_posts import TENANT
from tests.unit.flows.exporting import ALICE, BOB, START, Exports, ago, prompt


@pytest.fixture
def setup() -> Exports:
    return Exports()


class TestAWindow:
    def test_what_it_shows_is_archived_where_a_notification_would_have_put_it(self, setup: Exports) -> None:
        item = prompt(ago(hours=3))
        setup.exports.put(ALICE, item)
        setup.export()

        (name,) = setup.interactions.blobs
        assert name.startswith(f"{TENANT}/2026/01/05/19=3AKq7dVtRmQeOQ0cN1_pXj=40thread.v2/{item['requestId']}/")
        assert name.endswith(f"/{item['id']}.{item['etag']}.json")
        assert json.loads(setup.interactions.blobs[name].content) == item

    def test_its_metadata_tell_whose_it_is_and_what_brought_it(self, setup: Exports) -> None:
        response = prompt(ago(hours=3), **{"from": {"user": None, "application": {"id": "x"}}})
        setup.exports.put(ALICE, response)
        setup.export()
        (blob,) = setup.interactions.blobs.values()

        assert blob.metadata["source"] == "export"
        assert blob.metadata["userid"] == ALICE
        assert blob.metadata["tenantid"] == TENANT

    def test_the_checkpoint_follows_an_hour_behind_graphs_clock(self, setup: Exports) -> None:
        setup.exports.ahead = timedelta(seconds=-40)
        setup.export()

        assert setup.checkpoint().since == START
        assert setup.checkpoint().complete_until == NOW - timedelta(seconds=40) - SETTLE

    def test_pages_follow_each_other_also_over_empty_ones(self, setup: Exports) -> None:
        setup.exports.shapes = (2, 0, 0, 3)
        setup.exports.repeats = 1
        setup.exports.put(ALICE, *(prompt(ago(hours=hour)) for hour in range(2, 14)))
        setup.export()

        assert len(setup.archived) == 12

    def test_half_of_a_surrogate_pair_is_kept(self, setup: Exports) -> None:
        item = prompt(ago(hours=3), body={"contentType": "text", "content": "\ud83d"})
        setup.exports.put(ALICE, item)
        setup.export()

        assert [json.loads(blob.content) for blob in setup.interactions.blobs.values()] == [item]

    def test_what_is_no_interaction_is_one_dead_letter_however_often_it_is_shown(self, setup: Exports) -> None:
        nameless = {**prompt(ago(hours=3)), "id": None}
        setup.exports.put(ALICE, nameless, prompt(ago(hours=2)))
        setup.export()
        setup.world.pass_time(days=2)
        setup.export()

        assert len(setup.archived) == 1
        assert [name.partition("/")[0] for name in setup.dead_letters.blobs] == ["malformed-content"]

    def test_nor_is_it_another_one_on_another_day_where_no_checkpoint_remembers_it(self, setup: Exports) -> None:
        setup.exports.put(ALICE, {**prompt(ago(hours=3)), "id": None})
        setup.world.fail("state.create checkpoints/", times=1)
        with pytest.raises(StorageUnavailable):
            setup.export()
        setup.world.pass_time(days=2)
        setup.export()

        assert len(setup.dead_letters.blobs) == 1

    def test_only_the_app_classes_that_are_wanted_are_asked_for(self, setup: Exports) -> None:
        setup.app_classes = ("IPM.SkypeTeams.Message.Copilot.Excel",)
        setup.exports.put(ALICE, prompt(ago(hours=3)), prompt(ago(hours=2), appClass=setup.app_classes[0].upper()))
        setup.restart()
        setup.export()

        assert len(setup.archived) == 1

    @pytest.mark.parametrize("item", [None, 5, "text", [prompt(ago(hours=3))]], ids=str)
    def test_what_is_not_even_an_object_is_a_dead_letter(self, setup: Exports, item: object) -> None:
        setup.exports.first_page = lambda user_id, query: ExportPage((item, prompt(ago(hours=2))), None, NOW)  # type: ignore[method-assign]  # noqa: ARG005 - no mailbox holds such an item
        setup.export()

        assert len(setup.archived) == 1
        assert [name.partition("/")[0] for name in setup.dead_letters.blobs] == ["malformed-content"]

    def test_however_long_it_takes_the_checkpoint_and_the_look_are_of_its_beginning(self, setup: Exports) -> None:
        setup.pace._spacing = timedelta(seconds=50)
        setup.exports.shapes = (1,)
        setup.exports.put(ALICE, *(prompt(ago(hours=hour)) for hour in (2, 3, 4, 5)))
        setup.export()

        # What came while its pages were walked may be on none of them.
        assert setup.checkpoint().complete_until == NOW + timedelta(seconds=50) - SETTLE
        assert [(look.begin, look.at) for look in setup.checkpoint().looks] == [(START, NOW)]
        assert setup.checkpoint().requests == 4

    def test_a_graph_that_is_behind_is_believed_as_of_its_first_page(self, setup: Exports) -> None:
        setup.exports.ahead = timedelta(seconds=-500)
        setup.pace._spacing = timedelta(seconds=100)
        setup.exports.shapes = (1,)
        setup.exports.put(ALICE, *(prompt(ago(hours=hour)) for hour in (2, 3, 4, 5)))
        setup.export()

        assert setup.checkpoint().complete_until == NOW - timedelta(seconds=400) - SETTLE

    def test_a_message_that_no_planner_wrote_is_refused(self, setup: Exports) -> None:
        with pytest.raises(MalformedNotification):
            setup.exporting.run('{"userId": "../../subscriptions", "from": "2026-01-01T00:00:00Z"}')

    def test_the_tenant_at_once_finds_users_in_their_prompts(self) -> None:
        setup = Exports(whole_tenant=True)
        setup.exports.put(ALICE, prompt(ago(hours=3)))
        setup.export(None)
        (blob,) = setup.interactions.blobs.values()

        assert blob.metadata["userid"] == "c1a7a9f2-63c8-4d0f-8d2b-2b7f2b8f8a10"
        assert setup.checkpoint(None).complete_until == NOW - SETTLE


class TestASecondLook:
    def test_what_comes_late_is_found_and_what_is_known_costs_nothing(self, setup: Exports) -> None:
        setup.exports.put(ALICE, prompt(ago(hours=3)))
        setup.exports.put(ALICE, prompt(ago(hours=4)), visible_at=NOW + timedelta(hours=5))
        setup.export()
        assert len(setup.archived) == 1
        setup.world.pass_time(hours=6)
        before = setup.world.called("interactions")
        setup.export(begin=ago(hours=48))

        assert len(setup.archived) == 2
        # A write for the new one, nothing for the other: before the first subscription there is nothing to look for.
        assert setup.world.called("interactions") - before == 1

    def test_a_changed_interaction_is_archived_again(self, setup: Exports) -> None:
        item = prompt(ago(hours=3))
        setup.exports.put(ALICE, item)
        setup.export()
        setup.exports.forget(ALICE)
        setup.exports.put(ALICE, {**item, "etag": "1999999999999"})
        setup.world.pass_time(minutes=5)
        setup.export()

        assert len(setup.archived) == 2

    def test_a_window_that_somebody_has_exported_since_it_was_planned_costs_no_request(self, setup: Exports) -> None:
        planned = to_message(ExportWindow(ALICE, START, NOW))
        setup.exporting.run(planned)
        setup.exporting.run(planned)

        assert len(setup.exports.queries) == 1


def others_are_served(setup: Exports) -> None:
    """As the plan of this moment tells it."""
    setup.state.blobs.pop(SUMMARY, None)
    setup.state.create(SUMMARY, json.dumps({"servedAt": format_instant(setup.world.now)}).encode(), {})


def tried_and_flagged(setup: Exports) -> ExportProblem:
    """The problem that is left when a window has been tried as often as it is."""
    setup.export()
    while setup.doorbell.rings:
        setup.world.now = setup.doorbell.rings[0][1]
        setup.work()
    problem = setup.checkpoint().problem
    assert problem is not None
    return problem


class TestGraphRefuses:
    @pytest.mark.parametrize(("status", "reason"), [(403, "forbidden"), (404, "not-found"), (402, "refused")], ids=str)
    def test_a_user_whom_it_does_not_serve_is_flagged_with_a_reason(
        self, setup: Exports, status: int, reason: str
    ) -> None:
        setup.exports.refuse("exports.first_page", status, "UnknownError")
        setup.export()
        problem = setup.checkpoint().problem

        assert problem is not None
        assert (problem.reason, problem.since, problem.retry_at) == (reason, NOW, NOW)
        assert str(status) in problem.sentence
        assert ALICE in problem.sentence or "interactions" in problem.sentence

    def test_he_is_tried_again_less_and_less_often_and_forgiven_at_once(self, setup: Exports) -> None:
        setup.exports.refuse("exports.first_page", 403, times=4)
        setup.export()
        setup.world.pass_time(minutes=7)
        others_are_served(setup)
        setup.export()
        problem = setup.checkpoint().problem
        assert problem is not None
        assert problem.retry_at == NOW + timedelta(minutes=67)
        setup.world.pass_time(minutes=-7)
        setup.world.pass_time(hours=10)
        setup.export()
        problem = setup.checkpoint().problem
        assert problem is not None
        assert (problem.since, problem.retry_at) == (NOW, NOW + timedelta(hours=15))
        setup.world.pass_time(hours=90)
        setup.export()
        problem = setup.checkpoint().problem
        assert problem is not None
        assert problem.retry_at == NOW + timedelta(hours=124)
        setup.export()

        assert setup.checkpoint().problem is None

    @pytest.mark.parametrize("status", [403, 404, 503])
    def test_where_nobody_is_served_the_next_plan_tries_however_long_it_has_lasted(
        self, setup: Exports, status: int
    ) -> None:
        others_are_served(setup)
        setup.world.pass_time(minutes=1)
        setup.exports.refuse("exports.first_page", status, times=1_000)
        for hours in (0, 1, 2, 21):
            setup.world.pass_time(hours=hours)

            assert tried_and_flagged(setup).retry_at == setup.world.now

    def test_graphs_own_trouble_with_him_alone_is_tried_less_and_less_often_too(self, setup: Exports) -> None:
        setup.exports.refuse("exports.first_page", 503, times=1_000)
        since = tried_and_flagged(setup).since
        setup.world.pass_time(hours=2)
        others_are_served(setup)
        problem = tried_and_flagged(setup)

        assert problem.since == since
        assert problem.retry_at - setup.world.now == (setup.world.now - since) / 2 > timedelta(hours=1)

    def test_where_it_takes_no_filter_all_is_read_and_ours_is_kept(self, setup: Exports) -> None:
        setup.exports.takes_filter = False
        setup.exports.put(ALICE, prompt(ago(hours=3)), prompt(ago(days=60)))
        setup.export()

        assert len(setup.archived) == 1
        assert setup.checkpoint().complete_until == NOW - SETTLE

    def test_a_page_token_that_ended_makes_the_window_start_again(self, setup: Exports) -> None:
        setup.exports.shapes = (1,)
        setup.exports.put(ALICE, *(prompt(ago(hours=hour)) for hour in range(2, 6)))
        setup.world.meanwhile["exports.next_page"] = setup.exports.expire_links
        setup.export()

        assert len(setup.archived) == 4
        assert setup.checkpoint().complete_until == NOW - SETTLE

    def test_being_throttled_holds_all_instances_and_no_user_is_to_blame(self, setup: Exports) -> None:
        setup.exports.refuse("exports.first_page", 429, times=2, retry_after="7")
        setup.export()

        assert setup.checkpoint().problem is None
        assert setup.world.now == NOW + timedelta(seconds=14)

    def test_a_long_hold_is_waited_for_on_the_queue(self, setup: Exports) -> None:
        setup.exports.refuse("exports.first_page", 429, retry_after="500")
        setup.export()

        ((message, at),) = setup.doorbell.rings
        assert from_message(message).attempt == 1
        assert at == NOW + timedelta(seconds=500)

    def test_a_short_hold_that_goes_on_is_waited_for_on_the_queue_for_a_while(self, setup: Exports) -> None:
        setup.exports.refuse("exports.first_page", 429, times=100, retry_after="2")
        setup.export()

        ((message, at),) = setup.doorbell.rings
        assert from_message(message).attempt == 1
        assert at == setup.world.now + FIRST_WAIT

    @pytest.mark.parametrize(("asked", "wait"), [("25", FIRST_WAIT), ("90", timedelta(seconds=90))])
    def test_trouble_for_which_graph_names_an_end_is_waited_for_so_long(
        self, setup: Exports, asked: str, wait: timedelta
    ) -> None:
        setup.exports.refuse("exports.first_page", 503, retry_after=asked)
        setup.export()

        ((message, at),) = setup.doorbell.rings
        assert from_message(message).attempt == 2
        assert at == NOW + wait

    def test_trouble_is_tried_again_here_then_later_then_by_the_planner(self, setup: Exports) -> None:
        setup.exports.refuse("exports.first_page", 503, times=1000, retry_after="1")
        setup.export()
        waits = []
        while setup.doorbell.rings:
            waits.append(round((setup.doorbell.rings[0][1] - setup.world.now).total_seconds()))
            setup.world.now = setup.doorbell.rings[0][1]
            setup.work()
        problem = setup.checkpoint().problem

        assert waits == [30, 60, 120, 240]
        assert problem is not None
        assert problem.reason == "unavailable"
        assert problem.retry_at == setup.world.now, "the next plan tries again"
        assert setup.world.called("exports.first_page") == 5 * 4

    def test_pages_that_go_in_circles_end(self, setup: Exports) -> None:
        setup.exports.shapes = (1,)
        setup.exports.put(ALICE, prompt(ago(hours=2)), prompt(ago(hours=3)), prompt(ago(hours=4)))
        first = setup.exports.first_page(ALICE, None)
        setup.exports.next_page = lambda link: first  # type: ignore[method-assign]  # noqa: ARG005 - each page is its own next
        setup.export()

        assert from_message(*setup.doorbell.rung).attempt == 2
        assert checkpoint_name(TENANT, ALICE) not in setup.state.blobs


class TestCorroboration:
    def test_what_brought_an_interaction_is_remembered_by_day(self, setup: Exports) -> None:
        setup.exports.put(ALICE, prompt(ago(hours=3)), prompt(ago(days=1)))
        setup.export()

        shown = setup.checkpoint().shown
        assert {day: {origin: len(each) for origin, each in its.items()} for day, its in shown.items()} == {
            "2026-01-05": {Origin.HISTORY: 1},
            "2026-01-04": {Origin.HISTORY: 1},
        }


class TestTwoExporters:
    def test_a_stalled_one_that_wakes_up_loses(self, setup: Exports) -> None:
        setup.exports.put(ALICE, prompt(ago(hours=3)))

        def somebody_else() -> None:
            setup.world.pass_time(hours=2)
            setup.worker().run(to_message(ExportWindow(ALICE, START, setup.world.now)))

        setup.world.meanwhile["interactions.create"] = somebody_else
        setup.export()

        assert setup.checkpoint().complete_until == NOW + timedelta(hours=2) - SETTLE
        assert len(setup.archived) == 1

    def test_one_that_is_behind_never_takes_a_checkpoint_back(self, setup: Exports) -> None:
        setup.export()
        later = setup.checkpoint().complete_until
        setup.world.now = NOW - timedelta(hours=5)  # an instance whose clock is wrong
        setup.exports.ahead = timedelta(0)
        setup.exporting.run(to_message(ExportWindow(ALICE, START, NOW + timedelta(hours=1))))

        assert setup.checkpoint().complete_until == later


class TestKilledAndUnanswered:
    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_wherever_it_is_killed_the_next_run_completes_it(self, after: bool) -> None:
        undisturbed = self._run(Exports())
        calls = len(undisturbed.world.calls)
        assert calls > 10
        for number in range(calls):
            setup = Exports()
            setup.world.fail_call(number, Crash(), after=after)
            try:
                self._run(setup)
            except Crash:
                # The platform brings the message back, to a new process.
                setup.restart()
                self._run(setup, put=False)
            assert setup.archived == undisturbed.archived, number
            assert setup.checkpoint().complete_until == undisturbed.checkpoint().complete_until, number

    @pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
    def test_storage_that_does_not_answer_is_raised_and_nothing_is_claimed(self, after: bool) -> None:
        undisturbed = self._run(Exports())
        labels = undisturbed.world.calls
        for number, label in enumerate(labels):
            if not label.startswith(("interactions", "state", "dead-letters")):
                continue
            setup = Exports()
            setup.world.fail_call(number, StorageUnavailable("it did not answer"), after=after)
            try:
                self._run(setup)
            except StorageUnavailable:
                self._run(setup, put=False)
            assert setup.archived == undisturbed.archived, label
            assert setup.checkpoint().complete_until == undisturbed.checkpoint().complete_until, label

    def _run(self, setup: Exports, *, put: bool = True) -> Exports:
        if put:
            setup.exports.shapes = (2,)
            setup.exports.put(ALICE, *(prompt(ago(hours=hour)) for hour in (2, 3, 30)))
        setup.exporting.run(to_message(ExportWindow(ALICE, START, NOW)))
        return setup


class TestALargeWindow:
    def test_one_that_nears_its_end_goes_on_later_in_smaller_steps(
        self, setup: Exports, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(export, "RUN", timedelta(seconds=30))
        setup.pace._spacing = timedelta(seconds=4)
        setup.exports.shapes = (1,)
        times = [ago(hours=9 * hour + 2) for hour in range(60)]
        setup.exports.put(ALICE, *map(prompt, times))
        setup.export()
        checkpoints = []
        while setup.doorbell.rings:
            setup.work()
            checkpoints.append(setup.checkpoint().complete_until)

        assert len(setup.archived) == 60
        assert checkpoints == sorted(checkpoints, key=str)
        assert setup.checkpoint().has_looked(START, NOW)

    def test_steps_overlap(self, setup: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(export, "RUN", timedelta(seconds=1))
        setup.pace._spacing = timedelta(seconds=2)
        window = ExportWindow(ALICE, START, NOW).after(START + timedelta(days=10), NOW, timedelta(days=1))
        setup.exporting.run(to_message(window))

        ((_, query),) = setup.exports.queries
        assert query is not None
        assert f"gt {(START + timedelta(days=10) - OVERLAP - timedelta(seconds=1)):%Y-%m-%dT%H:%M:%SZ}" in query
        (message,) = setup.doorbell.rung
        resumed = from_message(message).resumed
        assert resumed is not None
        assert resumed.done_until == START + timedelta(days=11)
        assert setup.checkpoint().complete_until == START + timedelta(days=11)
        assert setup.checkpoint().looks == ()

    def test_a_look_in_steps_began_with_its_first_step(self, setup: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(export, "RUN", timedelta(seconds=30))
        setup.pace._spacing = timedelta(seconds=10)
        setup.exports.shapes = (1,)
        setup.exports.put(ALICE, *(prompt(ago(hours=9 * hour + 2)) for hour in range(20)))
        setup.export()
        assert checkpoint_name(TENANT, ALICE) not in setup.state.blobs
        while setup.doorbell.rings:
            setup.world.pass_time(minutes=3)
            setup.work()

        assert [(look.begin, look.at) for look in setup.checkpoint().looks] == [(START, NOW)]
        assert len(setup.archived) == 20

    def test_the_smallest_step_is_walked_to_its_end(self, setup: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(export, "RUN", timedelta(seconds=5))
        setup.pace._spacing = timedelta(seconds=1)
        setup.exports.shapes = (1,)
        setup.exports.put(ALICE, *(prompt(ago(hours=1, minutes=minute)) for minute in range(20)))
        window = ExportWindow(ALICE, ago(hours=3), NOW).after(ago(hours=2), NOW, SMALLEST_STEP)
        setup.exporting.run(to_message(window))
        for _ in range(10):
            setup.work()

        assert len(setup.archived) == 20
        assert setup.doorbell.rings == []

    def test_steps_get_smaller_until_an_hour(self, setup: Exports, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(export, "RUN", timedelta(seconds=1))
        setup.pace._spacing = timedelta(seconds=2)
        setup.exports.shapes = (1,)
        setup.exports.put(ALICE, *(prompt(START + timedelta(minutes=minute)) for minute in range(1, 4)))
        steps: list[timedelta] = []
        setup.export(begin=START)
        while setup.doorbell.rings and len(steps) < 8:
            resumed = from_message(setup.doorbell.rung[0]).resumed
            assert resumed is not None
            steps.append(resumed.step)
            setup.exporting.run(setup.doorbell.take()[0])

        assert steps[0] == (NOW - START) / 4
        assert all(later <= max(step / 3, SMALLEST_STEP) for step, later in pairwise(steps))
        assert steps[-1] == SMALLEST_STEP

    def test_interactions_of_a_graph_whose_clock_is_ahead_are_not_left_for_later(self, setup: Exports) -> None:
        setup.exports.ahead = timedelta(hours=20)
        setup.exports.put(ALICE, prompt(NOW + timedelta(hours=19)))
        setup.export()

        assert len(setup.archived) == 1
        assert setup.checkpoint().complete_until == NOW + timedelta(hours=20) - SETTLE


def test_one_users_trouble_is_nobody_elses(setup: Exports) -> None:
    setup.exports.put(ALICE, prompt(ago(hours=3)))
    setup.exports.put(BOB, prompt(ago(hours=4)))
    setup.exports.refuse(f"exports.first_page {ALICE}", 500, times=1000)
    setup.plan()
    setup.work()

    assert len(setup.archived) == 1
    assert setup.checkpoint(BOB).complete_until is not None


def test_where_page_tokens_end_before_the_pages_do_the_window_goes_on_in_steps(setup: Exports) -> None:
    setup.exports.shapes = (1,)
    setup.exports.put(ALICE, *(prompt(ago(days=day)) for day in range(1, 30, 2)))
    setup.exports.refuse("exports.next_page", 400, times=1000)
    setup.export()
    first = from_message(*setup.doorbell.rung)

    assert first.resumed is not None
    assert first.resumed.step < NOW - START
    # A step with one page needs no token.
    while setup.doorbell.rings:
        setup.world.now = max(setup.world.now, setup.doorbell.rings[0][1])
        setup.work()
    assert len(setup.archived) == 15
    assert setup.checkpoint().has_looked(START, NOW)


def test_a_blob_of_subscriptions_that_nobody_can_read_keeps_nobody_from_exporting(setup: Exports) -> None:
    setup.state.create("subscriptions.json", b"not ours", {})
    setup.exports.put(ALICE, prompt(ago(hours=3)))
    setup.export()

    assert len(setup.archived) == 1
