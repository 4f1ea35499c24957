"""Interleaved rounds: how to compare on a machine that others use too.

Each round runs every variant in many short turns, in one order and then in the opposite one. A figure is the median
of the rounds' own ratios: what slows a whole round down slows both sides of its ratio.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Sample:
    """What one variant did in one round. ``cpu`` is this process' CPU seconds, all threads together."""

    done: int
    cpu: float
    wall: float
    latencies: tuple[float, ...] = ()

    def __add__(self, other: "Sample") -> "Sample":
        return Sample(
            self.done + other.done, self.cpu + other.cpu, self.wall + other.wall, self.latencies + other.latencies
        )


@dataclass(frozen=True, slots=True)
class Spread:
    """Median [min..max] over the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_digits(self.median)} [{_digits(self.low)}..{_digits(self.high)}]"


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to do the work; ``run`` does a round's worth of it and says how much that was."""

    name: str
    run: Callable[[], Sample]


@dataclass(slots=True)
class Rounds:
    """The samples of each variant, by round."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)

    def per_cpu_second(self, name: str) -> Spread:
        """How much a variant does in a CPU second."""
        return spread([sample.done / sample.cpu for sample in self.samples[name]])

    def per_second(self, name: str) -> Spread:
        """How much a variant does in a second on the wall."""
        return spread([sample.done / sample.wall for sample in self.samples[name]])

    def cpu_ratio(self, name: str, base: str) -> Spread:
        """A variant's work per CPU second, as a part of another one's."""
        pairs = zip(self.samples[name], self.samples[base], strict=True)
        return spread([(one.done / one.cpu) / (other.done / other.cpu) for one, other in pairs])

    def wall_ratio(self, name: str, base: str) -> Spread:
        """A variant's work per second on the wall, as a part of another one's."""
        pairs = zip(self.samples[name], self.samples[base], strict=True)
        return spread([(one.done / one.wall) / (other.done / other.wall) for one, other in pairs])

    def latency(self, name: str, percent: int) -> Spread:
        """A percentile of a variant's latencies, in seconds."""
        return spread([percentile(sample.latencies, percent) for sample in self.samples[name]])


def interleave(variants: Sequence[Variant], rounds: int, turns: int = 1) -> Rounds:
    """Run every variant in each round, in so many turns, the order reversed each time.

    One turn before the first round is not counted: it fills caches and opens connections.
    """
    for variant in variants:
        variant.run()
    measured = Rounds({variant.name: [] for variant in variants})
    for number in range(rounds):
        sums = {variant.name: Sample(0, 0.0, 0.0) for variant in variants}
        for turn in range(number, number + turns):
            for variant in variants if turn % 2 == 0 else reversed(variants):
                sums[variant.name] += variant.run()
        for name, total in sums.items():
            measured.samples[name].append(total)
    return measured


def spend(step: Callable[[], int], cpu_seconds: float) -> Sample:
    """Repeat a step, which says how much it did, for about so much CPU time."""
    done = 0
    cpu, wall = time.process_time(), time.perf_counter()
    while time.process_time() - cpu < cpu_seconds:
        done += step()
    return Sample(done, time.process_time() - cpu, time.perf_counter() - wall)


def once(work: Callable[[], int]) -> Sample:
    """One piece of work, which says how much it was."""
    cpu, wall = time.process_time(), time.perf_counter()
    done = work()
    return Sample(done, time.process_time() - cpu, time.perf_counter() - wall)


def spread(values: Sequence[float]) -> Spread:
    """Median, smallest and largest."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _digits(value: float) -> str:
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"
