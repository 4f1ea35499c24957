"""The crash matrix notices what it has not attacked, and takes two attacks for one only where they left the same."""

import base64
import time
from collections import Counter
from typing import cast

import pytest

from tests.endurance import matrix
from tests.endurance.cases import Case, Verdict
from tests.endurance.matrix import by_scenario, enumerated, told, unattacked
from tests.endurance.proxy import Call, Done, Effect, Fault
from tests.endurance.spoilers import EVERYWHERE, LONG, SHORT, Spoiler
from tests.endurance.stage import Stage
from tests.endurance.traces import trace
from tests.endurance.wire import Message

LOST = Spoiler("acknowledgement lost", Fault(Effect.LOSE))
TIDE = "120be345-fae4-4c3a-9a39-7a1c84d1a001"
EBB = "17247228-1ee7-4491-8f6b-1c0f5a11b002"


def call(number: int, path: str, method: str = "PUT", gate: str = "blob") -> Call:
    return Call(number, gate, method, path)


def done(path: str, body: bytes = b"", *, head: bytes = b"", method: str = "PUT", status: int = 201) -> Done:
    return Done(call(0, path, method), Message(head, body), status)


def verdict(number: int, calls: list[Call], fired: int = 1) -> Verdict:
    case = Case("store", number, LOST) if number >= 0 else Case("store")
    return Verdict(case, calls, Counter({"lost": fired}) if number >= 0 and fired else Counter())


def stages(count: int) -> list[Stage]:
    return [cast("Stage", object()) for _ in range(count)]


def played(_: Stage, case: Case, *__: object) -> Verdict:
    looks = [call(number, "/c0001/state/a.json", "GET") for number in range(2)]
    return Verdict(case, [*looks, call(2, "/c0001/state/a.json")], Counter())


def test_a_call_that_no_case_has_spoilt_is_named() -> None:
    calls = [call(0, f"/c0001/inbox/{TIDE}.json?sig=a"), call(1, "/c0001/state/a.json")]
    same = [call(0, f"/c0002/inbox/{EBB}.json?sig=b"), call(1, "/c0002/state/a.json")]
    assert unattacked([verdict(-1, calls), verdict(0, same), verdict(1, same)]) == []
    assert unattacked([verdict(-1, calls), verdict(0, same)]) == ["store: blob PUT state/a.json"]
    assert unattacked([verdict(-1, calls), verdict(0, same), verdict(1, same, fired=0)]) != []


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_every_case_is_run_once_on_however_many_stages(monkeypatch: pytest.MonkeyPatch, lanes: int) -> None:
    monkeypatch.setattr(matrix, "run_case", played)
    verdicts = by_scenario(enumerated(stages(lanes), ["store", "sweep"], EVERYWHERE))
    assert list(verdicts) in (["store", "sweep"], ["sweep", "store"])
    for name, found in verdicts.items():
        cases = [Case(name, number, each) for number in range(3) for each in EVERYWHERE]
        assert found[0].case == Case(name)
        assert sorted(map(str, cases)) == sorted(str(each.case) for each in found[1:])


def test_reads_that_repeat_an_earlier_one_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix, "run_case", played)
    verdicts = enumerated(stages(1), ["store"], [LOST], thin=True)
    assert [each.case.number for each in verdicts] == [-1, 0, 2]


def test_whoever_stops_listening_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[Case] = []

    def slow(stage: Stage, case: Case, *rest: object) -> Verdict:
        run.append(case)
        time.sleep(0.01)
        return played(stage, case, *rest)

    monkeypatch.setattr(matrix, "run_case", slow)
    verdicts = enumerated(stages(2), ["store"] * 500, EVERYWHERE)
    next(verdicts)
    verdicts.close()
    assert len(run) < 500


def test_what_a_case_raises_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> Verdict:
        raise AssertionError("no stage")

    monkeypatch.setattr(matrix, "run_case", failing)
    with pytest.raises(AssertionError, match="no stage"):
        list(enumerated(stages(2), ["store"], EVERYWHERE))


def test_what_was_run_is_told_by_scenario() -> None:
    calls = [call(0, "/c0001/state/a.json")]
    assert told([verdict(-1, calls), verdict(0, calls)]) == "store: 1 calls, 2 cases, 2 of them repaired, 0 wrong"


def test_names_and_times_make_no_difference_between_traces() -> None:
    monday = b"x-ms-meta-receivedat: 2026-11-20T09:30:00.123Z\r\n"
    tuesday = b"x-ms-meta-receivedat: 2026-11-21T10:31:01.456Z\r\n"
    one = done(f"/c0001/inbox/notifications/2026/11/20/09/{TIDE}.json", b"{}", head=monday)
    other = done(f"/c0002/inbox/notifications/2026/11/21/10/{EBB}.json", b"{}", head=tuesday)
    assert trace([one]) == trace([other])


def test_what_is_said_makes_a_difference() -> None:
    one, other = done("/c0001/state/a.json", b"one"), done("/c0001/state/a.json", b"other")
    assert trace([one]) != trace([other])
    assert trace([one, other]) != trace([other, one])
    assert trace([done("/c0001/q/messages", _message("one"))]) != trace([done("/c0001/q/messages", _message("two"))])
    assert trace([done("/c0001/q/messages", _message(TIDE))]) == trace([done("/c0001/q/messages", _message(EBB))])
    assert trace([done("/c0001/a", head=b"x-ms-meta-a: 1\r\n")]) != trace(
        [done("/c0001/a", head=b"x-ms-meta-a: 2\r\n")]
    )


def test_reads_and_refused_writes_change_nothing() -> None:
    token = Done(call(0, "/tenant/oauth2/v2.0/token", "POST", "cloud"), Message(b"", b""), 200)
    looks = [done("/c0001/state/a.json", method="GET", status=200), done("/c0001/a", status=409), token]
    assert trace(looks) == ()


def test_a_write_that_has_not_been_answered_yet_counts() -> None:
    assert trace([done("/c0001/a", status=0)]) != ()


def test_the_short_form_refuses_every_call_and_kills_and_loses_at_every_write() -> None:
    kills = {Effect.KILL_ANSWERED, Effect.KILL_RELAYED}
    for number in range(1, 5):
        look, write = (call(number, "/c0001/a", method) for method in ("GET", "PUT"))
        assert [each.fault.effect for each in SHORT if each.meets(look)] == [Effect.REFUSE]
        killed, *others = [each.fault.effect for each in SHORT if each.meets(write)]
        assert killed in kills
        assert others == [Effect.LOSE, Effect.REFUSE]
    assert SHORT[0].meets(call(0, "/c0001/a", "GET"))
    assert SHORT[0].fault.effect is Effect.KILL_BEFORE


def test_the_long_form_has_every_way_at_every_call() -> None:
    assert len(LONG) == 16
    assert set(EVERYWHERE) < set(LONG)
    assert all(each.meets(call(3, "/c0001/a", "GET")) for each in LONG)


def _message(text: str) -> bytes:
    return b"<QueueMessage><MessageText>" + base64.b64encode(text.encode()) + b"</MessageText></QueueMessage>"
