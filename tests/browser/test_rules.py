"""The sentence, the problems and the series: the page's own scripts, run by Node. No browser is needed."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.browser import samples
from tests.browser.rules import Json, evaluate, pure_scripts
from tests.browser.samples import NOW, Status, instant

ROOT = Path(__file__).parents[2]
SAID = """given.map((status) => {
  const facts = Reading.facts(status);
  const problems = Rules.problems(facts);
  const { claim, need, basis, until, substance } = Headline.headline(facts, problems);
  return { sentence: `${claim} ${need}`, claim, need, basis, until, substance, problems };
})"""


def said(node: str, *statuses: object) -> list[dict[str, Any]]:
    """What the page says of each status; spaces are plain ones."""
    found = evaluate(node, SAID, statuses)
    plain: list[dict[str, Any]] = json.loads(json.dumps(found, ensure_ascii=False).replace("\u00a0", " "))
    return plain


def keys(status: dict[str, Any], level: str) -> list[str]:
    return [each["key"] for each in status["problems"] if each["level"] == level]


def but(change: Callable[[Status], object], of: Callable[[], Status] = samples.good) -> Status:
    """A sample with a change."""
    status = of()
    change(status)
    return status


def test_the_sentence_of_each_sample(node: str) -> None:
    upto = "Everything captured up to 20 Nov 19:07, and all that Graph sent up to 14:32"
    sentences = [each["sentence"] for each in said(node, *(make() for make in samples.SAMPLES.values()))]
    assert dict(zip(samples.SAMPLES, sentences, strict=True)) == {
        "good": f"{upto}. Nothing needs you.",
        "quiet": f"{upto}. Nothing needs you.",
        "ordinary": f"{upto}. Two dead letters need you.",
        "bad_day": (
            "Everything captured up to 20 Nov 00:17, except for 216 users and 4 gaps, and all that Graph sent up to "
            "12:21. One subscription is not live. Seven more things need you."
        ),
        "empty": "Nothing vouches for what is captured. Key Vault gives no certificate.",
        "bare": "What Graph sent up to 14:32 is captured. Nothing needs you.",
    }


def test_problems_stand_in_order_of_urgency(node: str) -> None:
    (bad,) = said(node, samples.bad_day())
    assert keys(bad, "act") == [
        *("notLive", "certificateAway", "inboxOld", "lifecycleOld", "flagged", "exportLate", "deadLetters", "conflicts")
    ]
    assert keys(bad, "watch") == ["gaps", "behind", "notShown", "missed"]
    assert [each["level"] for each in bad["problems"]] == ["act"] * 8 + ["watch"] * 4
    assert "lacks AiEnterpriseInteraction.Read.All" in bad["problems"][0]["detail"]


class TestClaim:
    """Everything captured is only what somebody vouches for."""

    def test_it_is_never_later_than_what_waits_nor_than_what_export_confirms(self, node: str) -> None:
        ages = [None, 0, 60, 3600, 86400, 40 * 86400]
        lags = [0, 60, 3600, 90000]
        pairs = [(age, lag) for age in ages for lag in lags]

        def behind(age: int | None, lag: int) -> Status:
            status = samples.good()
            status["inbox"]["notifications"] = {
                "posts": 0 if age is None else 5,
                "oldestReceivedAt": None if age is None else instant(NOW - timedelta(seconds=age)),
                "oldestAgeSeconds": age,
            }
            status["exports"]["oldestCompleteUntil"] = instant(NOW - timedelta(seconds=lag))
            return status

        found = said(node, *(behind(*pair) for pair in pairs))
        for (age, lag), each in zip(pairs, found, strict=True):
            assert each["until"] == round((NOW - timedelta(seconds=max(age or 0, lag))).timestamp() * 1000)
            assert each["claim"].startswith("Everything captured up to ")

    def test_another_day_is_named(self, node: str) -> None:
        def behind(**of: float) -> Status:
            until = instant(NOW - timedelta(**of))
            return but(lambda status: status["exports"].update(oldestCompleteUntil=until))

        yesterday, last_year = said(node, behind(hours=15), behind(days=400))
        assert yesterday["claim"].startswith("Everything captured up to 20 Nov 23:32, and all that")
        assert last_year["claim"].startswith("Everything captured up to 17 Oct 2025 14:32, and all that")

    @pytest.mark.parametrize(
        ("part", "change", "words"),
        [
            ("exports", {"behind": 3}, "except for 3 users"),
            ("exports", {"behind": 3, "flagged": {"total": 2}}, "except for 5 users"),
            ("exports", {"flagged": {"total": 1}}, "except for 1 user"),
            ("subscriptions", {"gapsToExport": 1}, "except for 1 gap"),
            ("subscriptions", {"gapsLost": 2, "gapsToExport": 1}, "except for 3 gaps"),
        ],
    )
    def test_whom_and_what_export_has_not_looked_at_is_excepted(
        self, node: str, part: str, change: Status, words: str
    ) -> None:
        (found,) = said(node, but(lambda status: status[part].update(change)))
        assert (
            found["claim"] == f"Everything captured up to 20 Nov 19:07, {words}, and all that Graph sent up to 14:32."
        )

    @pytest.mark.parametrize("change", [{"behind": None}, {"flagged": None}, {"flagged": {"total": None}}])
    def test_where_it_is_not_known_whom_to_except_nothing_is_claimed(self, node: str, change: Status) -> None:
        (found,) = said(node, but(lambda status: status["exports"].update(change)))
        assert found["until"] is None

    def test_a_tenant_is_confirmed_whole_or_not_at_all(self, node: str) -> None:
        tenant = {"scope": "tenant", "users": 1}
        good, flagged = said(
            node,
            but(lambda status: status["exports"].update(tenant)),
            but(lambda status: status["exports"].update(tenant | {"flagged": {"total": 1}})),
        )
        assert good["claim"].startswith("Everything captured up to 20 Nov 19:07, and")
        assert flagged["claim"] == "What Graph sent up to 14:32 is captured."

    def test_what_graph_sent_since_counts_while_a_subscription_lives(self, node: str) -> None:
        (found,) = said(node, but(lambda status: status["subscriptions"].update(live=0)))
        assert found["claim"] == "Everything captured up to 20 Nov 19:07."

    @pytest.mark.parametrize("part", ["inbox", "time"])
    def test_without_inbox_or_time_nothing_is_claimed(self, node: str, part: str) -> None:
        (found,) = said(node, but(lambda status: status.pop(part)))
        assert (found["until"], found["claim"]) == (None, "It is not known up to when everything is captured.")

    def test_posts_of_unknown_age_leave_it_unknown(self, node: str) -> None:
        (found,) = said(node, but(lambda status: status["inbox"]["notifications"].update(oldestReceivedAt=None)))
        assert found["until"] is None

    @pytest.mark.parametrize("scope", ["none", "else", None])
    def test_without_an_export_it_does_not_say_everything(self, node: str, scope: str | None) -> None:
        (found,) = said(node, but(lambda status: status["exports"].update(scope=scope)))
        assert found["claim"] == "What Graph sent up to 14:32 is captured."
        assert found["basis"].startswith("No export")

    def test_with_neither_a_subscription_nor_an_export_nothing_vouches(self, node: str) -> None:
        def change(status: Status) -> None:
            del status["exports"], status["subscriptions"]

        (found,) = said(node, but(change))
        assert (found["until"], found["claim"]) == (None, "Nothing vouches for what is captured.")


def _subscription(**change: object) -> Status:
    return but(lambda status: status["subscriptions"]["resources"][0].update(change))


def _part(part: str, **change: object) -> Status:
    return but(lambda status: status[part].update(change))


def _queue(queue: str, age: int | None) -> Status:
    return but(lambda status: status["inbox"][queue].update(posts=2, oldestAgeSeconds=age))


def _ago(**of: float) -> str:
    return instant(NOW - timedelta(**of))


HOUR = 3600
DAY = 86400
THRESHOLDS: list[tuple[Status, str, str | None]] = [
    (samples.good(), "deadLetters", None),
    (_part("deadLetters", total=1), "deadLetters", "act"),
    (but(lambda status: status.update(conflicts=1)), "conflicts", "act"),
    (_subscription(live=False), "notLive", "act"),
    (_subscription(live=None), "notLive", None),
    (_subscription(problem="why"), "troubled", "watch"),
    (_subscription(secondsToExpiry=34 * HOUR), "expiring", None),
    (_subscription(secondsToExpiry=34 * HOUR - 1), "expiring", "watch"),
    (_subscription(secondsToExpiry=DAY - 1), "expiring", "act"),
    (_part("subscriptions", reconciledAt=_ago(minutes=29)), "notReconciled", None),
    (_part("subscriptions", reconciledAt=_ago(minutes=30)), "notReconciled", "watch"),
    (_part("subscriptions", reconciledAt=_ago(hours=6)), "notReconciled", "act"),
    (_part("subscriptions", reconciledAt=None), "notReconciled", "watch"),
    (_part("subscriptions", managed=False), "unmanaged", "watch"),
    (_part("subscriptions", managed=False), "notReconciled", None),
    (_part("subscriptions", gapsToExport=1), "gaps", "watch"),
    (but(lambda s: (s["subscriptions"].update(gapsToExport=1), s["exports"].update(scope="none"))), "gaps", "act"),
    (_queue("notifications", 10 * 60 - 1), "inboxOld", None),
    (_queue("notifications", 10 * 60), "inboxOld", "watch"),
    (_queue("notifications", 15 * 60), "inboxOld", "act"),
    (_queue("lifecycle", 15 * 60), "lifecycleOld", "act"),
    (_part("certificate", secondsToExpiry=45 * DAY), "certificateSoon", None),
    (_part("certificate", secondsToExpiry=45 * DAY - 1), "certificateSoon", "watch"),
    (_part("certificate", secondsToExpiry=30 * DAY - 1), "certificateSoon", "act"),
    (_part("certificate", secondsToExpiry=-5), "certificateSoon", "act"),
    (_part("certificate", error="why"), "certificateAway", "act"),
    (_part("exports", lagSeconds=27 * HOUR - 1), "exportLate", None),
    (_part("exports", lagSeconds=27 * HOUR), "exportLate", "watch"),
    (_part("exports", lagSeconds=36 * HOUR), "exportLate", "act"),
    (_part("exports", behind=1), "behind", "watch"),
    (_part("exports", problem="why"), "whom", "watch"),
    (_part("subscriptions", gapsLost=1), "gapsLost", "watch"),
    (_part("exports", plannedAt=_ago(hours=3)), "planLate", "watch"),
    (_part("exports", plannedAt=_ago(days=1)), "planLate", "act"),
    (_part("exports", plannedAt=None), "planLate", "watch"),
    (_part("exports", scope="none", plannedAt=None), "planLate", None),
    (_part("exports", scope="none"), "noExport", "note"),
    (_part("exports", plannedRequests=81_000), "budget", None),
    (_part("exports", plannedRequests=81_001), "budget", "watch"),
    (_part("exports", flagged={"total": 1}), "flagged", "act"),
    (but(lambda status: status["coverage"][-3].update(missedByNotifications=1)), "missed", "watch"),
    (but(lambda status: status["coverage"][-3].update(notShownByExport=1)), "notShown", "watch"),
    (but(lambda status: status.update(version=2)), "otherVersion", "watch"),
    (samples.bare(), "silent", "note"),
]


def test_each_problem_begins_where_the_docs_say(node: str) -> None:
    found = said(node, *(status for status, _, _ in THRESHOLDS))
    for (_, key, level), each in zip(THRESHOLDS, found, strict=True):
        assert {problem["key"]: problem["level"] for problem in each["problems"]}.get(key) == level, key
    assert {key for _, key, _ in THRESHOLDS} == set(evaluate(node, "Rules.KEYS"))


def test_what_the_status_leaves_out_is_said_and_never_taken_for_zero(node: str) -> None:
    (found,) = said(node, {"version": 1, "time": instant(NOW)})
    assert keys(found, "act") == []
    assert keys(found, "note") == ["silent"]
    for part in ("inbox", "dead letters", "subscriptions", "certificate", "export", "coverage", "captured"):
        assert part in found["problems"][-1]["detail"]


def test_what_is_said_aloud_changes_with_the_substance_and_not_with_the_time(node: str) -> None:
    later = samples.ordinary() | {"time": instant(NOW + timedelta(minutes=5))}
    worse = but(lambda status: status["deadLetters"].update(total=3), samples.ordinary)
    before, after, changed = (each["substance"] for each in said(node, samples.ordinary(), later, worse))
    assert before == after
    assert before != changed


class TestSeries:
    def test_an_hour_without_a_record_is_unknown_and_one_without_captures_is_zero(self, node: str) -> None:
        status = samples.good()
        status["captured"] = [
            {"hour": "2026-11-21T13:00:00Z", "bySource": {}},
            {"hour": "2026-11-21T14:00:00Z", "bySource": {"notification": 5, "export": -1}},
        ]
        hours = evaluate(node, "Series.hours(Reading.facts(given), 3)", status)
        assert [hour["known"] for hour in hours] == [False, True, True]
        assert [hour["counts"] for hour in hours] == [
            {"notification": None, "export": None},
            {"notification": 0, "export": 0},
            {"notification": 5, "export": None},
        ]
        assert [hour["partial"] for hour in hours] == [False, False, True]

    @pytest.mark.parametrize(
        ("rows", "state"),
        [
            ([], "unknown"),
            ([{}], "complete"),
            ([{"notShownByExport": None}], "complete"),
            ([{"complete": False}], "unknown"),
            ([{"complete": None}], "unknown"),
            ([{"missedByNotifications": None}], "unknown"),
            ([{"missedByNotifications": 1}], "found"),
            ([{"missedByNotifications": 1, "complete": False}], "found"),
            ([{"notShownByExport": 1}], "not-shown"),
            ([{"missedByNotifications": 1}, {"notShownByExport": 1}], "not-shown"),
            ([{}, {"complete": False}], "unknown"),
            ([{}, {"missedByNotifications": 2}], "found"),
        ],
    )
    def test_a_days_state_is_that_of_its_worst_resource(self, node: str, rows: list[Status], state: str) -> None:
        good = {"byNotification": 9, "missedByNotifications": 0, "notShownByExport": 0, "complete": True}
        coverage = [{"day": "2026-11-20", "resource": str(n)} | good | row for n, row in enumerate(rows)]
        days = evaluate(node, "Series.coverage(Reading.facts(given), 3)", {"time": instant(NOW), "coverage": coverage})
        assert [day["day"] for day in days] == ["2026-11-19", "2026-11-20", "2026-11-21"]
        assert [day["state"] for day in days] == ["unknown", state, "unknown"]

    def test_scales_end_at_round_numbers(self, node: str) -> None:
        ends = evaluate(node, "[0, 3, 5, 11, 99, 101, 640, 12345].map(Series.roundUp)")
        assert ends == [4, 4, 5, 20, 100, 200, 1000, 20000]


class TestWords:
    def test_durations(self, node: str) -> None:
        seconds = [None, 0, 59.9, 60, 3599, 3600, 3660, 36000, 37000, 86399, 86400, 90000, 172800, 10 * 86400 + 3600]
        found = evaluate(node, "given.map(Words.duration)", seconds)
        assert [each.replace("\u00a0", " ") for each in found] == [
            *("unknown", "0 s", "59 s", "1 min", "59 min", "1 h", "1 h 1 min", "10 h", "10 h", "23 h"),
            *("1 day", "1 day 1 h", "2 days", "10 days"),
        ]

    def test_numbers(self, node: str) -> None:
        found = evaluate(
            node, "[Words.digits(1234567), Words.counted(10000), Words.amount(null), Words.Many(2, 'a', 'b')]"
        )
        assert found == ["1,234,567", "10,000 or more", "unknown", "Two b"]

    def test_instants_without_an_offset_are_utc(self, node: str) -> None:
        texts = [
            "2026-11-21T14:32:07",
            "2026-11-21T14:32:07.000000Z",
            "2026-11-21T15:32:07+01:00",
            "1",
            "2026-11-21",
            5,
        ]
        found = evaluate(node, "given.map(Reading.instant)", texts)
        assert found == [round(NOW.timestamp() * 1000)] * 3 + [None] * 3

    def test_hostile_texts_are_cut_and_keep_their_direction(self, node: str) -> None:
        found = evaluate(node, "given.map(Reading.text)", ["a\u202eb\u0000c\u2066", "x" * 5000, "", 7])
        assert found[0] == "a\ufffdb\ufffdc\ufffd"
        assert len(found[1]) < 500
        assert found[2:] == [None, None]


def _mutations(value: Json) -> Iterator[Json]:
    """The value with one part of it taken out or replaced by something of another type, for each part."""
    wrong: list[Any] = [None, -1, 1e300, "text", [], {}, True, [None], {"a": None}]
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        for each in wrong:
            mutant = copy.copy(value)
            mutant[key] = each
            yield mutant
        for inner in _mutations(member):
            mutant = copy.copy(value)
            mutant[key] = inner
            yield mutant
    if isinstance(value, dict):
        yield from ({name: each for name, each in value.items() if name != key} for key in value)


def test_no_part_that_is_missing_or_of_another_type_breaks_the_page_or_shows_through(node: str) -> None:
    status = samples.bad_day()
    status["coverage"], status["captured"] = status["coverage"][-5:-2], status["captured"][-4:-2]
    mutants = [*_mutations(status), *samples.shapeless(), None, 5, [], "text"]
    assert len(mutants) > 1000
    given = {"mutants": mutants}
    series = (
        "given.mutants.map((each) => [Series.hours(Reading.facts(each)), Series.coverage(Reading.facts(each))].length)"
    )
    assert set(evaluate(node, series, given)) == {2}
    for each, mutant in zip(said(node, *mutants), mutants, strict=True):
        shown = " ".join([each["sentence"], each["basis"], *(f"{p['short']} {p['detail']}" for p in each["problems"])])
        assert not re.search(r"undefined|NaN|null|Infinity|\[object", shown), (shown, mutant)


def test_every_runbook_leads_to_a_heading(node: str) -> None:
    for target in evaluate(node, "Object.values(Rules.RUNBOOKS)"):
        path, _, anchor = target.partition("#")
        headings = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, target


def test_every_problem_is_in_the_docs_and_no_other(node: str) -> None:
    page = (ROOT / "docs" / "dashboard.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == evaluate(node, "Rules.KEYS")


def test_the_rules_need_no_document() -> None:
    assert len(pure_scripts()) == 5
    for script in pure_scripts():
        assert not re.search(r"\b(document|window|location|fetch|sessionStorage|localStorage|Date\.now)\b", script)
