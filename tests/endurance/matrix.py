"""The crash matrix: every scenario, spoilt at every call that it makes, in every way.

The calls are enumerated, not drawn: a scenario is run untouched to learn which they are, and each case spoils one.
"""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from tests.endurance.cases import Case, Verdict, run_case
from tests.endurance.proxy import Call
from tests.endurance.spoilers import Spoiler
from tests.endurance.stage import Stage


def enumerated(
    stages: Sequence[Stage],
    names: Iterable[str],
    spoilers: Sequence[Spoiler],
    *,
    thin: bool = False,
    careless: str | None = None,
) -> Iterator[Verdict]:
    """Each scenario untouched, then every case of it, on as many stages at once as there are.

    ``thin`` leaves out reads that repeat an earlier one. Whoever stops listening, at the first harm say, ends it.
    """
    free: SimpleQueue[Stage] = SimpleQueue()
    for stage in stages:
        free.put(stage)

    def run(case: Case) -> Verdict:
        stage = free.get()
        try:
            return run_case(stage, case, careless)
        finally:
            free.put(stage)

    with ThreadPoolExecutor(len(stages)) as pool:
        for name in names:
            untouched = run(Case(name))
            yield untouched
            numbers = _telling(untouched.calls) if thin else range(len(untouched.calls))
            yield from pool.map(run, [Case(name, number, spoiler) for number in numbers for spoiler in spoilers])


def _telling(calls: Sequence[Call]) -> Iterator[int]:
    """All writes, and the first read of each name: a read changes nothing, and its failures are told once."""
    seen: set[tuple[str, str]] = set()
    for call in calls:
        name = call.method, call.path.partition("?")[0]
        if call.method not in {"GET", "HEAD"} or name not in seen:
            yield call.number
        seen.add(name)
