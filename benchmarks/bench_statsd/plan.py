"""The order of the measurements, and how long they will take."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from bench_statsd.load import SINGLE
from bench_statsd.measure import (
    Results,
    Scale,
    measure_bare,
    measure_cpu,
    measure_curve,
    measure_highest,
    measure_resident,
    measure_stall,
)
from bench_statsd.peers import BARE_ARRIVAL, BARE_CLOCK, Server

PARTS = ("cpu", "max", "rss", "stall", "curve")
# To start a server and to end it.
_START = 2.0
# Beyond the interval, because of what has to wait for it. Most of a trial's waiting is the interval itself.
_MARGIN = 0.2
# The peers' receive queue has no bar to meet: once is enough for them.
_STALLS_OF_OURS = 2


@dataclass(frozen=True)
class Step:
    """One server measured in one way."""

    part: str
    label: str
    server: Server
    seconds: float
    measure: Callable[[], None]


def plan(results: Results, scale: Scale, servers: Sequence[Server], parts: Sequence[str], rounds: int) -> list[Step]:
    """Return all measurements, each round going through all the servers."""
    one = scale.interval + _MARGIN
    steps: list[Step] = []
    for number in range(1, rounds + 1):
        if "cpu" in parts:
            steps += _cpu(results, scale, servers, number, one)
        if "stall" in parts:
            steps += _stall(results, scale, servers, number, one)
        if "rss" in parts and number == 1:
            for server in servers:
                measure = partial(measure_resident, results, scale, server)
                steps.append(Step("rss", "memory", server, _START + len(scale.resident) * one, measure))
    if "max" in parts:
        for size in scale.search_sizes:
            name = "1 metric" if size == SINGLE else f"{size:,} bytes"
            for server in servers:
                measure = partial(measure_highest, results, scale, server, size)
                trial = scale.search_seconds + scale.search_interval + 0.5
                seconds = _START + (0.75 * scale.search_trials + 0.5) * trial
                steps.append(Step("max", f"highest rate, {name}", server, seconds, measure))
    if "curve" in parts:
        for server in servers:
            if server.is_ours:
                measure = partial(measure_curve, results, scale, server)
                trials = len(scale.curve_rates) + 2 * len(scale.curve_buckets)
                # The flush of a million buckets takes long.
                seconds = _START + (trials + 1 + len(scale.curve_buckets)) * one + max(scale.curve_buckets) / 25_000
                steps.append(Step("curve", "cost by rate and by buckets", server, seconds, measure))
    return steps


def _cpu(results: Results, scale: Scale, servers: Sequence[Server], number: int, one: float) -> Iterator[Step]:
    for buckets in scale.amounts():
        for server in servers:
            measure = partial(measure_cpu, results, scale, server, buckets, number)
            yield Step("cpu", f"processor time, {buckets:,} buckets, round {number}", server, _START + 3 * one, measure)
    for server in (BARE_ARRIVAL, BARE_CLOCK):
        measure = partial(measure_bare, results, scale, server, number)
        seconds = _START + 2 * (scale.load_seconds + _MARGIN)
        yield Step("cpu", f"processor time of receiving alone, round {number}", server, seconds, measure)


def _stall(results: Results, scale: Scale, servers: Sequence[Server], number: int, one: float) -> Iterator[Step]:
    for server in (*servers, BARE_CLOCK):
        if number == 1 or (server.is_ours and number <= _STALLS_OF_OURS):
            measure = partial(measure_stall, results, scale, server)
            seconds = _START + one + 4 * scale.interval + 3.0
            yield Step("stall", f"receive queue during flushes, round {number}", server, seconds, measure)
