"""One case: a copy of a scenario's state, an attack, good weather, the repair, and what came of it."""

from collections import Counter
from dataclasses import dataclass, field

from local.graph.ledger import Ledger
from tests.endurance.hands import Run
from tests.endurance.posts import Parcel, Sender
from tests.endurance.proxy import Call, nothing
from tests.endurance.scenarios import SCENARIOS, SETTLE, Scenario, receive
from tests.endurance.spoilers import Spoiler
from tests.endurance.stage import Stage, restore
from tests.endurance.verifier import Figure, judge

# A sender tries as often as it takes: Graph does for four hours. More than this means that it is never taken.
SENDS = 4
# The repair comes with the next run of the timers: what a killed process has claimed is free again by then.
LATER = 300.0


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
    """What a case came to. ``calls`` are those of the attacked run; ``wrong`` is empty where the promise was kept."""

    case: Case
    figure: Figure
    calls: list[Call]
    fired: Counter[str]
    wrong: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        number = self.case.number
        where = f" = {self.calls[number]}" if 0 <= number < len(self.calls) else ""
        return f"{self.case}{where}: {self.wrong or 'kept'}"


def run_case(stage: Stage, case: Case, careless: str | None = None) -> Verdict:
    """Run it, with a careless bug planted where one is named."""
    if case.scenario not in stage.scenarios:
        # Prepared by the app as it is, without any bug.
        stage.scenarios[case.scenario] = SCENARIOS[case.scenario](stage)
    scenario = stage.scenarios[case.scenario]
    account = stage.account()
    sender = Sender(stage.new_folder())
    scenario.before(stage)
    restore(account, scenario.blobs)
    for parcel in scenario.kept:
        sender.sending(parcel)
        sender.answered(parcel, 202)
    attack = _Attack(stage, scenario, account, sender, careless)
    attack.run(case)
    sender.close()
    figure = judge(Ledger.read(sender.folder), account)
    return Verdict(case, figure, attack.calls, attack.fired, attack.wrong(case, figure))


class _Attack:
    """The attacked run and what comes after it."""

    def __init__(self, stage: Stage, scenario: Scenario, account: str, sender: Sender, careless: str | None) -> None:
        self._stage = stage
        self._scenario = scenario
        self._environment = stage.environment(account, **scenario.settings)
        self._sender = sender
        self._careless = careless
        self._trouble = ""
        self.calls: list[Call] = []
        self.fired: Counter[str] = Counter()

    def run(self, case: Case) -> None:
        """Attack, stop attacking, repair."""
        for parcel in self._scenario.sent:
            self._sender.sending(parcel)
        proxy = self._stage.proxy
        proxy.begin(case.spoiler.at(case.number) if case.spoiler else nothing, self._stage.worker.kill)
        steps = [*self._scenario.attacked, *(receive(parcel) for parcel in self._scenario.sent)]
        run = self._work(steps, detour=self._stage.detour)
        self.calls, self.fired = proxy.calls, proxy.fired
        proxy.begin()
        answers = run.results[len(self._scenario.attacked) :]
        for number, parcel in enumerate(self._scenario.sent):
            self._insist(parcel, answers[number]["status"] if number < len(answers) else None)
        in_inbox = any(blob.container == "inbox" for blob in self._scenario.blobs)
        settle = [SETTLE] if in_inbox or self._scenario.sent else []
        last = self._work([*self._scenario.repair, *settle], ahead=LATER)
        self._trouble = str(last.results[-1]) if last.results else f"the repair ended with {last.status}"

    def wrong(self, case: Case, figure: Figure) -> dict[str, object]:
        """What was promised and is not so."""
        wrong = dict(figure.harm)
        if figure.in_inbox:
            wrong["still in the inbox"] = figure.in_inbox
        if figure.dead_letters != self._scenario.dead:
            wrong["dead letters"] = dict(figure.dead_letters)
        if "!=" in figure.sum:
            wrong["sum"] = figure.sum
        # On a busy machine an SDK may have asked twice when calls were counted: the last of them may not come again.
        missed = case.number - len(self.calls) >= REPEATED
        if case.spoiler is not None and not self.fired and missed:
            wrong["never happened"] = f"there were {len(self.calls)} calls"
        if also := self._scenario.after(self._stage):
            wrong["also"] = also
        return wrong | {"trouble": self._trouble} if wrong else {}

    def _insist(self, parcel: Parcel, status: int | None) -> None:
        """Send again until it is taken, as Graph does."""
        self._sender.answered(parcel, status)
        for _ in range(SENDS):
            if status is not None and 200 <= status < 300:
                return
            self._sender.sending(parcel)
            again = self._work([receive(parcel)])
            status = again.results[-1]["status"] if again.results else None
            self._sender.answered(parcel, status)

    def _work(self, steps: list[list[str]], *, detour: dict[int, int] | None = None, ahead: float = 0.0) -> Run:
        return self._stage.worker.run(steps, self._environment, detour=detour, careless=self._careless, ahead=ahead)
