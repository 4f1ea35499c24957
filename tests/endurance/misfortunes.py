"""What happens to the app and around it in a siege, drawn by seed: to its process, its clock, and those it depends on.

Whatever lasts has an end of its own, and ``calm`` ends it all.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

from local.graph.export_api import Trouble
from local.graph.outages import Kind, Surface

if TYPE_CHECKING:
    from local.graph.simulator import Simulator
    from tests.endurance.siege import Siege

OUTAGES: tuple[Surface, ...] = ("vault", "vault", "vault", "entra", "signing_keys", "graph")
OUTAGE_KINDS: tuple[Kind, ...] = ("503", "500", "429", "hang", "refuse")
# Not those that mean the user: he is tried again after an hour, which no siege waits for.
TROUBLES: tuple[Trouble, ...] = ("500", "503", "slow")
# How often Graph says that it removed one.
TOLD = 0.7
LIFECYCLE = ("missed", "reauthorizationRequired", "subscriptionRemoved")
# A step of the clock. Tokens are judged with five minutes of tolerance: further back, none is valid yet.
BACK = 4.5 * 60
AHEAD = 10.0 * 60
# What Graph's own stopwatch may be put forward by: a subscription lives for a day.
LEAP_HOURS = 20


class Misfortunes:
    """Draws them, and counts them in ``siege.fired``. ``strike`` is called every few seconds."""

    def __init__(self, siege: "Siege", rng: random.Random, *, back: float = BACK) -> None:
        self._siege = siege
        self._cloud = siege.cloud
        self._rng = rng
        self._back = back
        self._ends: dict[str, tuple[float, Callable[[], object]]] = {}
        self._kinds: dict[Callable[[], None], int] = {
            self._kill: 15,
            self._pause: 8,
            self._deploy: 8,
            self._set_clock: 5,
            self._put_clock_right: 2,
            self._restart_by_another_clock: 3,
            # Seldom: whoever is killed while he cares for subscriptions keeps everybody else from it for four minutes.
            self._remove_subscription: 2,
            self._hint: 5,
            self._leap: 1,
            self._rotate: 4,
            self._outage: 10,
            self._trouble: 5,
        }

    def strike(self) -> None:
        """End what is over, and let something happen."""
        now = time.monotonic()
        for what in [what for what, (until, _) in self._ends.items() if until <= now]:
            self._ends.pop(what)[1]()
        (kind,) = self._rng.choices(list(self._kinds), list(self._kinds.values()))
        kind()

    def calm(self) -> None:
        """End everything."""
        for _, end in self._ends.values():
            end()
        self._ends.clear()
        self._siege.dial.turn(0.0)

    def _kill(self) -> None:
        self._siege.host.kill()
        self._siege.start()
        self._count("process killed (SIGKILL)")

    def _pause(self) -> None:
        pid = self._siege.host.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self._rng.uniform(0.5, 4.0))
        os.kill(pid, signal.SIGCONT)
        self._count("process paused (SIGSTOP)")

    def _deploy(self) -> None:
        # Another instance of the app: stopped in order, started with other settings.
        self._siege.stop()
        self._siege.set_up(MAX_BODY_BYTES=str(self._rng.choice((4_194_304, 2_097_152))))
        self._siege.start()
        self._count("deployed with a changed setting")

    def _set_clock(self) -> None:
        self._siege.dial.turn(self._rng.uniform(-self._back, AHEAD))
        self._count("clock set under the running process")

    def _put_clock_right(self) -> None:
        if self._siege.dial.ahead:
            self._siege.dial.turn(0.0)
            self._count("clock put right under the running process")

    def _restart_by_another_clock(self) -> None:
        self._siege.host.kill()
        self._siege.dial.turn(self._rng.uniform(-self._back, AHEAD))
        self._siege.start()
        self._count("killed, and started by another clock")

    def _remove_subscription(self) -> None:
        living, tell = self._cloud.graph.subscriptions.living(), self._rng.random() < TOLD
        if not living:
            return
        gone = self._rng.choice(living).id

        async def remove(graph: "Simulator") -> None:
            if graph.subscriptions.find(gone) is not None:
                await graph.remove_subscription(gone, tell=tell)

        self._siege.begin(remove)
        self._count("subscription removed by Graph")

    def _hint(self) -> None:
        event = self._rng.choice(LIFECYCLE)

        async def hint(graph: "Simulator") -> None:
            await graph.emit_lifecycle(event)

        self._siege.begin(hint)
        self._count(f"told of {event}")

    def _leap(self) -> None:
        by = timedelta(hours=self._rng.uniform(1, LEAP_HOURS))
        self._cloud.call(lambda graph: graph.clock.advance(by))
        self._count("hours passed for Graph")

    def _rotate(self) -> None:
        self._cloud.call(lambda graph: graph.rotate_certificate())
        self._count("certificate rotated")

    def _outage(self) -> None:
        surface, kind = self._rng.choice(OUTAGES), self._rng.choice(OUTAGE_KINDS)
        if surface not in self._ends:
            self._cloud.call(lambda graph: graph.cloud.outages.begin(surface, kind))
            self._lasts(surface, lambda: self._cloud.call(lambda graph: graph.cloud.outages.end(surface)))
            self._count(f"outage of {surface}")

    def _trouble(self) -> None:
        user, kind = self._rng.choice(self._siege.users), self._rng.choice(TROUBLES)
        if user not in self._ends:
            self._cloud.call(lambda graph: graph.trouble(user, kind))
            self._lasts(user, lambda: self._cloud.call(lambda graph: graph.trouble(user, None)))
            self._count("one user's export in trouble")

    def _lasts(self, what: str, end: Callable[[], object]) -> None:
        self._ends[what] = time.monotonic() + self._rng.uniform(2.0, 25.0), end

    def _count(self, what: str) -> None:
        self._siege.fired[what] += 1
