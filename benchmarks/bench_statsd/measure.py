"""The measurements: each takes a server and adds what it finds to the results."""

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median

from bench_statsd.load import FILLED, SINGLE, Load, watch_queue
from bench_statsd.peers import Server
from bench_statsd.running import Running, Trial, running

LOST = 0.001
# A generator that stays this far below the rate it was asked for is what limits the rate.
_REACHED = 0.93
_WATCHED_FLUSHES = 3


# What else the machine does can only add to the losses: a rate that fails narrowly is tried again.
_NARROWLY = 0.05
_TRIES = 3
# The search ends when a good and a bad rate are so close.
_FINE = 1.06


@dataclass(frozen=True)
class Scale:
    """How large and how long everything is."""

    interval: int
    load_seconds: float
    few: int
    many: int
    resident: tuple[int, ...]
    single_rate: float
    filled_rate: float
    flush_rate: float
    search_sizes: tuple[int, ...]
    search_trials: int
    search_interval: int
    search_seconds: float
    curve_rates: tuple[float, ...]
    curve_buckets: tuple[int, ...]

    def shapes(self) -> list["Shape"]:
        """Return the kinds of traffic whose cost is measured: four, in a full run."""
        rates = {SINGLE: self.single_rate, FILLED: self.filled_rate}
        return [Shape(size, buckets, rates[size]) for buckets in self.amounts() for size in (SINGLE, FILLED)]

    def amounts(self) -> list[int]:
        """Return how many buckets there are in turn."""
        return sorted({self.few, self.many})


FULL = Scale(
    interval=10,
    load_seconds=7.5,
    few=1000,
    many=100_000,
    resident=(10_000, 100_000),
    single_rate=20_000,
    filled_rate=100_000,
    flush_rate=200_000,
    search_sizes=(SINGLE, FILLED),
    search_trials=14,
    search_interval=2,
    search_seconds=3,
    curve_rates=(1e3, 1e4, 1e5, 1e6),
    curve_buckets=(10_000, 100_000, 1_000_000),
)
QUICK = Scale(
    interval=1,
    load_seconds=0.4,
    few=1000,
    many=1000,
    resident=(10_000,),
    single_rate=20_000,
    filled_rate=100_000,
    flush_rate=200_000,
    search_sizes=(FILLED,),
    search_trials=1,
    search_interval=1,
    search_seconds=0.5,
    curve_rates=(1e4, 1e6),
    curve_buckets=(10_000,),
)


@dataclass(frozen=True)
class Shape:
    """Traffic whose cost is measured."""

    size: int
    buckets: int
    rate: float

    def __str__(self) -> str:
        """Return it in words."""
        return f"{'1 metric' if self.size == SINGLE else f'{self.size:,} bytes'}, {self.buckets:,} buckets"


@dataclass(frozen=True)
class Highest:
    """The highest rate that was found, and whether the generator could not send more."""

    rate: float
    limited: bool

    def __str__(self) -> str:
        """Return it for a table."""
        return f"{'>= ' if self.limited else ''}{self.rate:,.0f}"


@dataclass(frozen=True)
class Stall:
    """How long nothing was received during flushes, what the kernel dropped then, and at a high rate."""

    longest_ms: float
    """The median of the longest in each interval."""
    worst_ms: float
    drops: int
    flush_drops: int
    flush_datagrams: int
    resident_mib: float


@dataclass
class Results:
    """All that was found, by the server's name."""

    cpu: dict[tuple[str, Shape], list[Trial]] = field(default_factory=lambda: defaultdict(list))
    bare: dict[tuple[str, int], list[Trial]] = field(default_factory=lambda: defaultdict(list))
    highest: dict[tuple[str, int], Highest] = field(default_factory=dict)
    resident: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    made: dict[tuple[str, int], float] = field(default_factory=dict)
    """CPU seconds per million buckets that became known, with their first flush."""
    stall: dict[str, list[Stall]] = field(default_factory=lambda: defaultdict(list))
    curve_rates: dict[tuple[str, float], Trial] = field(default_factory=dict)
    curve_buckets: dict[tuple[str, int], Trial] = field(default_factory=dict)
    idle: dict[tuple[str, int], float] = field(default_factory=dict)
    """CPU seconds of an interval in which nothing comes, by the number of known buckets."""
    # Rates that a server was found unable to bear, halved.
    lowered: dict[tuple[str, Shape], float] = field(default_factory=dict)


def measure_cpu(results: Results, scale: Scale, server: Server, buckets: int, seed: int) -> None:
    """Measure the cost of the shapes with so many buckets."""
    with running(server, scale.interval, buckets) as run:
        run.touch(buckets)
        for shape in scale.shapes():
            if shape.buckets == buckets:
                results.cpu[server.name, shape].append(_bearable(results, scale, run, shape, seed))


def _bearable(results: Results, scale: Scale, run: Running, shape: Shape, seed: int) -> Trial:
    """Return a trial at the shape's rate; at a lower one, down to a quarter, if the server loses metrics at that."""
    key = (run.server.name, shape)
    rate = results.lowered.get(key, shape.rate)
    while True:
        trial = run.trial(Load(rate, scale.load_seconds, shape.buckets, shape.size, seed))
        if trial.loss <= LOST or rate / 2 < shape.rate / 4:
            return trial
        rate /= 2
        results.lowered[key] = rate


def measure_bare(results: Results, scale: Scale, server: Server, seed: int) -> None:
    """Measure the cost of receiving alone."""
    with running(server, scale.interval) as run:
        for size, rate in ((SINGLE, scale.single_rate), (FILLED, scale.filled_rate)):
            trial = run.trial(Load(rate, scale.load_seconds, scale.few, size, seed))
            results.bare[server.name, size].append(trial)


def measure_highest(results: Results, scale: Scale, server: Server, size: int) -> None:
    """Search the highest rate at which less than 0.1 % is lost and the receive queue does not grow."""
    with running(server, scale.search_interval) as run:
        run.touch(scale.few)
        good, bad, limited, failures = 0.0, float("inf"), False, 0
        rate = server.first_rate.get(size, scale.filled_rate)
        for number in range(scale.search_trials):
            trial = run.trial(Load(rate, scale.search_seconds, scale.few, size, number + 1))
            reached = trial.reached >= _REACHED * rate
            failures += 1
            if trial.loss < LOST and trial.caught_up and reached:
                good, failures = rate, 0
                rate = rate * 1.35 if bad == float("inf") else (good * bad) ** 0.5
            elif trial.loss >= _NARROWLY or failures == _TRIES:
                bad, limited, failures = rate, trial.loss < LOST and not reached, 0
                rate = (good * bad) ** 0.5 if good else rate / 1.5
            if good and bad / good < _FINE:
                break
        results.highest[server.name, size] = Highest(good, limited)


def measure_resident(results: Results, scale: Scale, server: Server) -> None:
    """Measure the memory after a flush, with few buckets and with many, and what making them known has cost."""
    with running(server, scale.interval, max(scale.resident)) as run:
        for buckets in scale.resident:
            spent = run.cpu_seconds()
            run.touch(buckets)
            results.made[server.name, buckets] = (run.cpu_seconds() - spent) / buckets * 1e6
            results.resident[server.name, buckets].append(run.resident_mib())


def measure_stall(results: Results, scale: Scale, server: Server) -> None:
    """Watch the receive queue over some flushes of many buckets, then over one at a high rate."""
    with running(server, scale.interval, scale.many) as run:
        run.touch(scale.many)
        seconds = _WATCHED_FLUSHES * scale.interval + 0.5
        # 300 bytes are 7 or 8 metrics: 2,000 datagrams a second touch each of 100,000 buckets in 10 seconds.
        slow = Load(2000 * 7.2, seconds - 0.5, scale.many, 300)
        calm, _ = watch_queue(run.port, seconds, scale.interval, slow)
        run.catches_up()
        seconds = scale.interval + 1.0
        busy = Load(scale.flush_rate, seconds - 0.5, scale.many, FILLED)
        storm, sent = watch_queue(run.port, seconds, seconds, busy)
        longest = median(calm.longest_ms), max(calm.longest_ms)
        found = Stall(*longest, calm.drops, storm.drops, sent.datagrams, run.resident_mib())
        results.stall[server.name].append(found)


def measure_curve(results: Results, scale: Scale, server: Server) -> None:
    """Measure the cost of a metric at several rates, then with a growing number of buckets."""
    with running(server, scale.interval, max(scale.curve_buckets)) as run:
        run.touch(scale.few)
        results.idle[server.name, scale.few] = run.idle()
        for rate in scale.curve_rates:
            results.curve_rates[server.name, rate] = run.trial(Load(rate, scale.load_seconds, scale.few))
        for buckets in scale.curve_buckets:
            if not run.touch(buckets):
                # Those that it does not know would be new to it, which costs more.
                break
            results.idle[server.name, buckets] = run.idle()
            load = Load(scale.filled_rate, scale.load_seconds, buckets)
            results.curve_buckets[server.name, buckets] = run.trial(load)
