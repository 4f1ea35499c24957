"""The crash matrix: every scenario, spoilt at every call that it makes, in every way.

The calls are enumerated, not drawn: a scenario is run untouched to learn which they are, and each case spoils one.
"""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeVar

from tests.endurance.cases import Case, Verdict, run_case
from tests.endurance.proxy import Call
from tests.endurance.spoilers import Spoiler
from tests.endurance.stage import Stage
from tests.endurance.traces import Trace, what

T = TypeVar("T")
A_MOMENT = 0.05


def enumerated(
    stages: Sequence[Stage],
    names: Iterable[str],
    spoilers: Sequence[Spoiler],
    *,
    thin: bool = False,
    known: bool = True,
    careless: str | None = None,
) -> Generator[Verdict, None, None]:
    """Each scenario untouched, and every case of it, on as many stages at once as there are.

    ``thin`` leaves out reads that repeat an earlier one. ``known``: what attacks leave behind is repaired once for all
    that leave the same. Whoever stops listening, at the first harm say, ends it.
    """
    work = _Work(deque(names), spoilers, thin, known, careless)
    verdicts: SimpleQueue[Verdict | BaseException | None] = SimpleQueue()
    with ThreadPoolExecutor(len(stages)) as threads:
        for stage in stages:
            threads.submit(work.lane, stage, verdicts.put)
        try:
            for _ in stages:
                while (verdict := verdicts.get()) is not None:
                    if isinstance(verdict, BaseException):
                        raise verdict
                    yield verdict
        finally:
            work.stop()


@dataclass
class _Work:
    """What is still to be done, for several lanes: a scenario each, and in the end what others have not come to."""

    names: deque[str]
    spoilers: Sequence[Spoiler]
    thin: bool
    known: bool
    careless: str | None
    _open: list[deque[Case]] = field(default_factory=list)
    _kept: dict[str, set[Trace]] = field(default_factory=lambda: defaultdict(set))
    # Who is learning a scenario's calls: nobody knows yet how many cases there are.
    _learning: set[Stage] = field(default_factory=set)
    _over: bool = False

    def lane(self, stage: Stage, tell: Callable[[Verdict | BaseException | None], None]) -> None:
        """Work until there is nothing left, and say so with None."""
        try:
            while (cases := self._learnt(stage, tell)) is not None:
                while (case := _popped(cases.popleft)) is not None:
                    tell(self._run(stage, case))
            while not self._over and (self._learning or any(self._open)):
                if (case := self._left_over()) is not None:
                    tell(self._run(stage, case))
                else:
                    time.sleep(A_MOMENT)
        except BaseException as error:  # noqa: BLE001 - raised where the verdicts are waited for
            tell(error)
        finally:
            tell(None)

    def stop(self) -> None:
        """Let the lanes come to their end."""
        self._over = True
        for cases in self._open:
            cases.clear()

    def _learnt(self, stage: Stage, tell: Callable[[Verdict], None]) -> deque[Case] | None:
        """The cases of the next scenario, None after the last."""
        self._learning.add(stage)
        try:
            name = None if self._over else _popped(self.names.popleft)
            if name is None:
                return None
            untouched = self._run(stage, Case(name))
            cases = deque(() if self._over else self._cases(untouched))
            self._open.append(cases)
            tell(untouched)
            return cases
        finally:
            self._learning.discard(stage)

    def _left_over(self) -> Case | None:
        """What another lane would come to last: neighbours leave the same behind, and are best left to one lane."""
        found = (_popped(cases.pop) for cases in self._open)
        return next((case for case in found if case is not None), None)

    def _run(self, stage: Stage, case: Case) -> Verdict:
        return run_case(stage, case, self.careless, self._kept[case.scenario] if self.known else None)

    def _cases(self, untouched: Verdict) -> Iterator[Case]:
        calls = _telling(untouched.calls) if self.thin else untouched.calls
        for call in calls:
            yield from (Case(untouched.case.scenario, call.number, each) for each in self.spoilers if each.meets(call))


def _popped(pop: Callable[[], T]) -> T | None:
    try:
        return pop()
    except IndexError:
        return None


def _telling(calls: Iterable[Call]) -> Iterator[Call]:
    """All writes, and the first read of each name: a read changes nothing, and its failures are told once."""
    seen: set[tuple[str, str, str]] = set()
    for call in calls:
        name = call.gate, call.method, call.path
        if not call.is_read or name not in seen:
            yield call
        seen.add(name)


def by_scenario(verdicts: Iterable[Verdict]) -> Mapping[str, list[Verdict]]:
    """Each scenario's own, the untouched run first."""
    found: dict[str, list[Verdict]] = defaultdict(list)
    for each in verdicts:
        found[each.case.scenario].insert(0 if each.case.spoiler is None else len(found[each.case.scenario]), each)
    return found


def told(verdicts: Sequence[Verdict]) -> str:
    """A scenario's verdicts in one line."""
    name, calls = verdicts[0].case.scenario, len(verdicts[0].calls)
    repaired, wrong = sum(not each.known for each in verdicts), sum(bool(each.wrong) for each in verdicts)
    return f"{name}: {calls} calls, {len(verdicts)} cases, {repaired} of them repaired, {wrong} wrong"


def unattacked(verdicts: Iterable[Verdict]) -> list[str]:
    """What untouched runs asked for and no case has spoilt."""
    asked: set[str] = set()
    spoilt: set[str] = set()
    for each in verdicts:
        if each.case.spoiler is None:
            asked |= {f"{each.case.scenario}: {what(call)}" for call in each.calls}
        elif each.attacked is not None:
            spoilt.add(f"{each.case.scenario}: {what(each.attacked)}")
    return sorted(asked - spoilt)
