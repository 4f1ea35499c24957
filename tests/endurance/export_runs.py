"""Runs of the export's flows, side by side and call by call; and rounds of them that nothing disturbs."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial

from shared.core.errors import CaptureError, Unavailable
from tests.endurance.export_judge import Judge, Planner
from tests.endurance.exporting_instances import Exporters
from tests.endurance.interleaving import Fate, Instance, Turns

INSTANCES = 3
Work = Callable[[Exporters], object]


class Runs:
    """Instances at work for a tenant, and what is on the queue between them. The judge looks after every call."""

    def __init__(self, tenant: Exporters, everybody: tuple[str, ...]) -> None:
        self.tenant = tenant
        self.judge = Judge(tenant, everybody)
        self.queue: list[str] = []
        self._turns = Turns(tenant.world)
        self._planners: dict[Instance, Planner] = {}
        self._unforeseen: list[Exception] = []

    @property
    def running(self) -> list[Instance]:
        """Those that have not come to their end."""
        return self._turns.running

    # ---- side by side

    def plan(self) -> Instance | None:
        """A planner, stopped before its first call."""
        planner = self.judge.planner()
        instance = self.start(lambda tenant: tenant.planning.plan_exports())
        if instance is not None:
            self._planners[instance] = planner
        return instance

    def start(self, work: Work) -> Instance | None:
        """A fresh process on the same storage, stopped before its first call; none where there are enough."""
        if len(self.running) >= INSTANCES:
            return None
        self.tenant.restart()
        return self._turns.start(partial(self._watched, work))

    def step(self, instance: Instance, until: int | str, fate: Fate = Fate.DONE) -> None:
        """Let it make so many calls, or all before the first of that kind, and judge after each."""
        made = 0
        while not instance.over:
            if made == until or (isinstance(until, str) and instance.waits_for.startswith(until)):
                break
            instance.step(fate)
            made += 1
            self.tenant.in_the_background()
            self.judge.look(self._planners.get(instance))
            assert not self._unforeseen
        self.collect()

    def leaves(self, user: str) -> None:
        """Somebody is not on the list any more, or not yet, for all who have begun to plan."""
        self.tenant.graph.users.remove(user)
        for planner in self._planners.values():
            planner.everybody.discard(user)

    # ---- at once

    def plan_at_once(self) -> None:
        """A plan that nothing comes between."""
        self.tenant.restart()
        planner = self.judge.planner()
        with suppress(Unavailable):
            self.tenant.planning.plan_exports()
        self.judge.look(planner)
        self.collect()

    def export_at_once(self, *, stays: bool) -> None:
        """Everything that is on the queue; and perhaps it stays there, to be exported once more."""
        messages, self.queue = self.queue, self.queue if stays else []
        for message in messages:
            self.tenant.restart()
            with suppress(Unavailable):
                self.tenant.exporting.run(message)
            self.judge.look()

    def good_weather(self, hours: int, *, times: int) -> None:
        """After so long a plan, and its windows as often as they are put on the queue again."""
        self.tenant.world.pass_time(hours=hours)
        # What was there before is nobody's any more.
        self.queue.clear()
        self.plan_at_once()
        for _ in range(times):
            self.tenant.world.now += timedelta(minutes=1)
            self.collect()
            self.export_at_once(stays=False)

    def collect(self) -> None:
        """What is seen on the queue by now."""
        self.queue += self.tenant.doorbell.take()

    def _watched(self, work: Work) -> None:
        try:
            work(self.tenant)
        except CaptureError:
            raise
        except Exception as error:
            self._unforeseen.append(error)
            raise
