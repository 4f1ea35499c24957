"""One case: a copy of a scenario's state, an attack, good weather, the repair, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field

from local.graph.ledger import Ledger
from tests.endurance.account import Account
from tests.endurance.hands import Run
from tests.endurance.posts import Parcel, Sender
from tests.endurance.proxy import Call, Effect, Fault, nothing
from tests.endurance.scenario import SETTLE, Scenario, Step, receive
from tests.endurance.scenarios import SCENARIOS
from tests.endurance.spoilers import Spoiler
from tests.endurance.stage import CONTAINERS, Stage
from tests.endurance.traces import Trace, trace
from tests.endurance.verifier import JUDGED, Figure, figure

# A sender tries as often as it takes: Graph does for four hours. More than this means that it is never taken.
SENDS = 4
TAKEN = 202
# The repair comes with the next run of the timers: what a killed process has claimed is free again by then.
LATER = 300.0
# What Graph has forbidden is asked of it again after a quarter of an hour.
MUCH_LATER = 1200.0
FORBIDDEN = Fault(Effect.STATUS, 403)
# By how many calls a scenario may differ from when it was counted.
REPEATED = 2


@dataclass(frozen=True, slots=True)
class Case:
    """A scenario by name, the call to spoil and how; untouched where there is no spoiler."""

    scenario: str
    number: int = -1
    spoiler: Spoiler | None = None

    def __str__(self) -> str:
        return f"{self.scenario}: " + (f"call {self.number} {self.spoiler.name}" if self.spoiler else "untouched")


@dataclass
class Verdict:
    """What a case came to. ``calls`` are those of the attacked run; ``wrong`` is empty where the promise was kept.

    ``known``: the attack has left behind what an earlier one had, of which it was seen that it is repaired.
    """

    case: Case
    calls: list[Call]
    fired: Counter[str]
    wrong: dict[str, object] = field(default_factory=dict)
    known: bool = False

    @property
    def attacked(self) -> Call | None:
        """The call that was spoilt."""
        number = self.case.number
        return self.calls[number] if self.fired and 0 <= number < len(self.calls) else None

    def __str__(self) -> str:
        where = f" = {self.attacked}" if self.attacked else ""
        return f"{self.case}{where}: {self.wrong or 'kept'}"


def run_case(stage: Stage, case: Case, careless: str | None = None, kept: set[Trace] | None = None) -> Verdict:
    """Run it, with a careless bug planted where one is named.

    ``kept`` are the traces of this scenario after which the promise was kept: they are added to, and an attack that
    leaves one of them needs no repair to be judged.
    """
    scenario = prepare(stage, case.scenario)
    stage.calm()
    scenario.before(stage)
    attack = _Attack(stage, scenario, _place(stage, scenario), careless)
    try:
        left = attack.run(case)
        if kept is not None and left in kept:
            wrong = attack.missed(case)
        else:
            forbidden = case.spoiler is not None and case.spoiler.fault == FORBIDDEN
            wrong = attack.wrong(case, attack.repaired(MUCH_LATER if forbidden else LATER))
            if kept is not None and not wrong:
                kept.add(left)
    finally:
        attack.end()
    return Verdict(case, attack.calls, attack.fired, wrong, known=not attack.settled)


def prepare(stage: Stage, name: str) -> Scenario:
    """A scenario, prepared by the app as it is, without any bug. It is the same on every stage."""
    if name not in stage.scenarios:
        stage.calm()
        stage.populate(name)
        stage.scenarios[name] = SCENARIOS[name](stage)
    return stage.scenarios[name]


def _place(stage: Stage, scenario: Scenario) -> Account:
    """An account with the scenario's blobs: one that the last case has not changed, or a new one."""
    if scenario.name in stage.spare:
        return stage.spare.pop(scenario.name)
    account = stage.account()
    # All containers, so that a case is not about making them; those that are about that have no blobs.
    account.fill(CONTAINERS if scenario.blobs else (), scenario.blobs)
    return account


class _Attack:
    """The attacked run and what comes after it."""

    def __init__(self, stage: Stage, scenario: Scenario, account: Account, careless: str | None) -> None:
        self._stage = stage
        self._scenario = scenario
        self._account = account
        self._environment = stage.environment(account, **scenario.settings)
        self._careless = careless
        self._sender = Sender(stage.new_folder())
        self._trouble = ""
        self._left: Trace | None = None
        self._refused: list[str] = []
        self.settled = False
        self.calls: list[Call] = []
        self.fired: Counter[str] = Counter()

    def run(self, case: Case) -> Trace:
        """Attack, stop attacking, and send again what was not taken; what that left behind."""
        self._keep_accounts()
        proxy = self._stage.proxy
        proxy.begin(case.spoiler.at(case.number) if case.spoiler else nothing, self._stage.worker.kill)
        steps = [*self._scenario.attacked, *(receive(parcel, self._scenario.door) for parcel in self._scenario.sent)]
        run = self._work(steps, detour=self._stage.detour)
        self.calls, self.fired, left = proxy.calls, proxy.fired, trace(proxy.done)
        proxy.begin()
        answers = run.results[len(self._scenario.attacked) :]
        for number, parcel in enumerate(self._scenario.sent):
            status = answers[number]["status"] if number < len(answers) else None
            left += ((parcel.name, str(status)),)
            self._insist(parcel, status)
        self._left = left + trace(proxy.done)
        return self._left

    def repaired(self, ahead: float) -> Figure:
        """What storage holds after the platform or an operator went on, so much later and in good weather."""
        self.settled = True
        self._stage.calm()
        found = self._after(self._scenario.repair, ahead)
        # The sweeper comes every five minutes: where it has nothing to ring for it need not be seen again.
        return self._after([SETTLE], ahead) if found.in_inbox else found

    def end(self) -> None:
        """Close what is open. An account that was only looked at is as good as new."""
        self._sender.close()
        if self._left == () and not self.settled:
            self._stage.spare[self._scenario.name] = self._account
        else:
            self._account.close()

    def wrong(self, case: Case, figure: Figure) -> dict[str, object]:
        """What was promised and is not so."""
        wrong = figure.harm | self.missed(case)
        if figure.in_inbox:
            wrong["still in the inbox"] = figure.in_inbox
        if figure.dead_letters != self._scenario.dead:
            wrong["dead letters"] = dict(figure.dead_letters)
        if "!=" in figure.sum:
            wrong["sum"] = figure.sum
        if self._refused:
            wrong["never taken"] = self._refused
        if also := self._scenario.after(self._stage, self._account):
            wrong["also"] = also
        return wrong | {"trouble": self._trouble} if wrong else {}

    def missed(self, case: Case) -> dict[str, object]:
        """Whether the case's call was never made."""
        # On a busy machine an SDK may have asked twice when calls were counted: the last of them may not come again.
        missed = case.number - len(self.calls) >= REPEATED
        if case.spoiler is None or self.fired or not missed:
            return {}
        return {"never happened": f"there were {len(self.calls)} calls"}

    def _keep_accounts(self) -> None:
        for parcel in self._scenario.kept:
            self._sender.sending(parcel)
            self._sender.answered(parcel, 202)
        for parcel in self._scenario.sent:
            self._sender.sending(parcel)

    def _after(self, steps: list[Step], ahead: float) -> Figure:
        if steps:
            run = self._work(steps, ahead=ahead, quiet=True)
            self._trouble = str(run.results[-1]) if run.results else f"the repair ended with {run.status}"
        return figure(Ledger.read(self._sender.folder), self._account.read(JUDGED))

    def _insist(self, parcel: Parcel, status: int | None) -> None:
        """Send again until it is taken, as Graph does."""
        self._sender.answered(parcel, status)
        for _ in range(SENDS):
            if status == TAKEN:
                return
            self._sender.sending(parcel)
            again = self._work([receive(parcel, self._scenario.door)], detour=self._stage.detour)
            status = again.results[-1]["status"] if again.results else None
            self._sender.answered(parcel, status)
        if status != TAKEN:
            self._refused.append(f"{parcel.name}: {status}")

    def _work(
        self, steps: list[Step], *, detour: dict[int, int] | None = None, ahead: float = 0.0, quiet: bool = False
    ) -> Run:
        environment, careless = self._environment, self._careless
        return self._stage.worker.run(steps, environment, detour=detour, careless=careless, ahead=ahead, quiet=quiet)
