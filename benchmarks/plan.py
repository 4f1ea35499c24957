"""How soon the export finds what notifications drop, in a tenant of 300,000, beside going round all users in turn.

Run ``.venv/bin/python -m benchmarks.plan``; ``--users`` and ``--interactions`` make another tenant, whose requests
a second are in proportion. Simulated by the real rules: a day of history, a steady day, and half of one more in which
the rest of it is found.
"""

import argparse
import gc
import sys
import time
import tracemalloc
from pathlib import Path

from benchmarks.plan_days import Found, HourOfPlan, PlannedDays, RoundRobin, rate_for
from benchmarks.plan_tenant import DAY, HISTORY, HOUR, START, Tenant, instant
from benchmarks.report import Options, Report, print_machine
from benchmarks.rounds import percentile, spread
from shared.core.checkpoint_json import progress
from shared.core.export_plan import Due, plan

USERS, PER_DAY = 300_000, 1_000_000
QUICK_USERS = 5_000
HOURS = 60
PERCENTS = (50, 75, 95, 99, 100)
# The median of the dropped is found so many times as soon as by going round; the last of them within a day and some.
LEAST_TIMES = 2.0
LONGEST_HOURS = 26.0


def read_arguments() -> tuple[Options, int, int]:
    """The command line: options, users, interactions a day."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables as JSON too")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_USERS} users")
    parser.add_argument("--users", type=int)
    parser.add_argument("--interactions", type=int, help="a day, of all users together")
    given = parser.parse_args()
    users = given.users or (QUICK_USERS if given.quick else USERS)
    interactions = given.interactions or round(PER_DAY * users / USERS)
    return Options(json=given.json, check=given.check, quick=given.quick), users, interactions


def simulate(tenant: Tenant) -> tuple[PlannedDays, RoundRobin, RoundRobin]:
    """The plan; going round with as many requests in each hour; and going round with all that there are."""
    ours, same, all_of_them = PlannedDays(tenant), RoundRobin(tenant), RoundRobin(tenant)
    for hour in range(HOURS):
        same.run_hour(hour, ours.run_hour())
        all_of_them.run_hour(hour, round(rate_for(len(tenant.users)) * HOUR))
    return ours, same, all_of_them


def report_hours(report: Report, hours: list[HourOfPlan]) -> None:
    """Every third hour's plan."""
    report.table(
        "Plans, every third hour: windows by why they are due; users not looked at within a day; what is left queued",
        ["hour", "active", "behind", "spare", "requests", "queued", "users behind", "CPU s of the plan"],
        [
            (
                number,
                *(each.due[due] for due in (Due.ACTIVE, Due.BEHIND, Due.SPARE)),
                each.requests,
                each.queued,
                each.behind,
                f"{each.plan_seconds:.1f}",
            )
            for number, each in enumerate(hours)
            if number % 3 == 0 and number < 48
        ],
    )


def report_waits(report: Report, tenant: Tenant, planned: PlannedDays, same: RoundRobin, most: RoundRobin) -> None:
    """Hours until what was dropped is archived, of the first day and of the steady one, and the targets."""
    rate = rate_for(len(tenant.users))
    for day, name in ((0, "the day of history"), (1, "a steady day")):
        begin, end = day * DAY, (day + 1) * DAY
        dropped = sum(1 for user in tenant.users for created in user.missing if begin <= created < end)
        spent = sum(each.requests for each in planned.hours[day * 24 : (day + 1) * 24])
        ways = (
            ("the plan", planned.found, spent),
            ("round robin, the same requests", same.found, spent),
            ("round robin, all requests", most.found, round(rate * DAY)),
        )
        rows = [_row(way, found, dropped, begin, requests) for way, found, requests in ways]
        columns = ["", "requests", *(f"p{percent}" for percent in PERCENTS[:-1]), "longest", "mean", "not found"]
        report.table(f"Hours until each of {dropped} dropped interactions is archived: {name}", columns, rows)
    waits = planned.found.hours(DAY, 2 * DAY)
    times = percentile(same.found.hours(DAY, 2 * DAY), 50) / percentile(waits, 50)
    report.target(
        "a steady day, median of round robin with the same requests, of the plan's", spread([times]), LEAST_TIMES
    )
    report.target("hours below 26 in which the last is archived", spread([LONGEST_HOURS - max(waits)]), 0)


def report_planning(report: Report, planned: PlannedDays) -> None:
    """What it takes to plan: from listed metadata, once more and with memory counted."""
    listed = planned.metadata()
    now = instant(HOURS * HOUR)
    start = time.process_time()
    known = [progress(each) for each in listed]
    parsing = time.process_time() - start
    planning = max(each.plan_seconds for each in planned.hours)
    del known
    tracemalloc.start()
    known = [progress(each) for each in listed]
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    plan(planned.rules_tenant(now), start=START, budget=round(rate_for(len(listed)) * HOUR), now=now)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    size = sum(len(name) + len(value) for each in listed for name, value in each.items()) / len(listed)
    report.table(
        f"Planning for {len(known)} users, {size:.0f} bytes of metadata each",
        ["", "CPU s", "MB"],
        [
            ("parse all metadata", f"{parsing:.1f}", f"{kept / 1e6:.0f}"),
            ("make a plan, the slowest of all hours", f"{planning:.1f}", f"{(peak - kept) / 1e6:.0f}"),
        ],
    )


def _row(way: str, found: Found, dropped: int, begin: float, requests: int) -> tuple[object, ...]:
    waits = found.hours(begin, begin + DAY)
    texts = [f"{percentile(waits, percent):.1f}" for percent in PERCENTS]
    return way, requests, *texts, f"{sum(waits) / len(waits):.1f}", dropped - len(waits)


def main() -> int:
    """Simulate, print, and say whether the targets are met."""
    options, users, interactions = read_arguments()
    report = Report()
    print_machine()
    rate = rate_for(users)
    print(f"{users} users, {interactions} interactions a day, half of the notifications dropped, {rate:g} requests/s")
    print(f"{HISTORY.days} days of history")
    gc.disable()  # millions of small objects and no cycles: looking for some would take a quarter of the time
    tenant = Tenant.of(users, interactions, HOURS)
    ours, same, all_of_them = simulate(tenant)
    report_hours(report, ours.hours)
    report_waits(report, tenant, ours, same, all_of_them)
    report_planning(report, ours)
    return report.finish(options)


if __name__ == "__main__":
    sys.exit(main())
