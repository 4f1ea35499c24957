"""Instances of the app that take turns, call by call, as somebody else decides.

Each runs in a thread that stops before every call to a port. One step lets one instance make one call, and go on to the
next; so an interleaving is a list of steps, repeatable, and whatever must always hold can be looked at in between.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from enum import Enum

import pytest
from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from shared.core.errors import StorageUnavailable
from tests.endurance.careless import Bug, planted
from tests.fakes import Crash, World

PATIENCE_SECONDS = 60.0


class Fate(Enum):
    """What becomes of a call, and of the instance that makes it."""

    DONE = "done and answered"
    REFUSED = "not done"
    LOST = "done, and the answer lost"
    CRASHED_BEFORE = "the instance is gone before the call"
    CRASHED_AFTER = "the instance is gone after the call"


class Instance:
    """One run of one function. ``step`` until ``over``."""

    def __init__(self, turns: "Turns", work: Callable[[], object]) -> None:
        self.over = False
        self.waits_for = ""
        self._turns = turns
        self._work = work
        self._fate = Fate.DONE
        self._gone = False
        self._mine = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._turns.wait()

    def step(self, fate: Fate = Fate.DONE) -> None:
        """Let it make the call that it stopped before, with this fate, and go on to the next."""
        self._fate = fate
        self._mine.release()
        self._turns.wait()

    def finish(self) -> None:
        """Let it go on to its end, in good weather."""
        while not self.over:
            self.step()

    @contextmanager
    def call(self, label: str) -> Iterator[None]:
        """A call of this instance, which waits for its turn."""
        if self._gone:
            raise Crash  # what is gone does not clean up after itself
        self.waits_for = label
        self._turns.back()
        self._mine.acquire()
        fate = self._fate
        self._gone = fate in {Fate.CRASHED_BEFORE, Fate.CRASHED_AFTER}
        if fate is Fate.CRASHED_BEFORE:
            raise Crash
        if fate is Fate.REFUSED:
            raise StorageUnavailable(f"{label} was refused")
        yield
        if fate is Fate.CRASHED_AFTER:
            raise Crash
        if fate is Fate.LOST:
            raise StorageUnavailable(f"the answer to {label} was lost")

    def _run(self) -> None:
        self._turns.here.instance = self
        # How it ends is for the platform to see, and for the invariants to judge.
        with suppress(Crash, Exception):
            self._work()
        self.over = True
        self._turns.back()


class Turns:
    """Makes the calls of a world wait for their turn where an instance makes them; other callers never wait."""

    def __init__(self, world: World) -> None:
        self.instances: list[Instance] = []
        self.here = threading.local()
        self._call = world.call
        self._control = threading.Semaphore(0)
        world.call = self._stepped  # type: ignore[method-assign] # the world has no other place to wait

    @property
    def running(self) -> list[Instance]:
        """Those that have not come to their end."""
        return [each for each in self.instances if not each.over]

    def start(self, work: Callable[[], object]) -> Instance:
        """A new instance, stopped before its first call."""
        instance = Instance(self, work)
        self.instances.append(instance)
        return instance

    def wait(self) -> None:
        """Until the instance that was let go has stopped again."""
        assert self._control.acquire(timeout=PATIENCE_SECONDS), "an instance neither calls nor ends"

    def back(self) -> None:
        """Give the control back."""
        self._control.release()

    @contextmanager
    def _stepped(self, label: str) -> Iterator[None]:
        instance: Instance | None = getattr(self.here, "instance", None)
        with instance.call(label) if instance else nullcontext(), self._call(label):
            yield


def find(machine: type[RuleBasedStateMachine], bug: str, bugs: Mapping[str, Bug], *, examples: int, steps: int) -> None:
    """Plant a bug: in so many examples the machine must come upon it. Without shrinking: that it does is enough."""
    search = settings(max_examples=examples, stateful_step_count=steps, deadline=None, phases=[Phase.generate])
    with planted(bug, bugs), pytest.raises((AssertionError, BaseExceptionGroup)):
        run_state_machine_as_test(machine, settings=search)
