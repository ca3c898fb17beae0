"""The tables, and the bars that the project sets itself."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from bench_statsd.load import FILLED, SINGLE
from bench_statsd.measure import LOST, Results, Scale, Shape, Stall
from bench_statsd.peers import BARE_ARRIVAL, BARE_CLOCK, Server
from bench_statsd.running import Trial

COMPILED = "ours-compiled"
PYTHON = "ours-python"
_SIZES = ((SINGLE, "1 metric in a datagram"), (FILLED, f"{FILLED:,}-byte datagrams"))


@dataclass(frozen=True)
class Bar:
    """A bar, the figure that has to meet it, and whether it does; None: that cannot be told."""

    text: str
    figure: str
    met: bool | None


def tables(results: Results, scale: Scale, servers: Sequence[Server]) -> str:
    """Return all that was measured as Markdown."""
    names = [server.name for server in servers]
    parts = (
        _cpu(results, scale, names),
        _bare(results, scale),
        _highest(results, names),
        _resident(results, scale, names),
        _stall(results, names),
        _curve(results, scale, names),
        _bars(results, scale, names),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]], *notes: str) -> str:
    rows = list(rows)
    if not any(cell != "-" for row in rows for cell in row[1:]):
        return ""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) if not number else cell.rjust(width) for number, (cell, width) in _numbered(cells))
        return f"| {' | '.join(padded)} |"

    def _numbered(cells: Sequence[str]) -> Iterator[tuple[int, tuple[str, int]]]:
        return enumerate(zip(cells, widths, strict=True))

    rule = "|".join("-" * (width + 1) + (":" if number else "-") for number, width in enumerate(widths))
    text = "\n".join((line(header), f"|{rule}|", *map(line, rows)))
    return "\n\n".join((f"## {title}", text, *notes))


def _cost(trials: list[Trial]) -> float | None:
    return median(trial.cost for trial in trials) if trials else None


def _ratio(figure: float | None, base: float | None) -> str:
    return f"{figure / base:.2f} x" if figure and base else "-"


def _figure(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:.2f}"


def _cpu(results: Results, scale: Scale, names: list[str]) -> str:
    shapes = scale.shapes()
    rows = []
    for name in names:
        row = [name]
        for shape in shapes:
            trials = results.cpu.get((name, shape), [])
            cost = _cost(trials)
            base = _cost(results.cpu.get((COMPILED, shape), []))
            row += [_figure(cost) + _caveat(trials, shape), _ratio(cost, base)]
        rows.append(row)
    header = ["server"]
    for shape in shapes:
        header += [str(shape), "/ compiled"]
    return _table(
        "CPU seconds per million metrics",
        header,
        rows,
        f"The load is {scale.single_rate:,.0f} metrics a second with one in each datagram, and "
        f"{scale.filled_rate:,.0f} in {FILLED:,}-byte datagrams, unless another rate stands beside the figure.\n"
        f"A share of lost metrics above {LOST:.1%} stands there too.\n"
        f"The figures include the flush of all buckets, every {scale.interval} s, with netdata every second.",
    )


def _caveat(trials: list[Trial], shape: Shape) -> str:
    if not trials:
        return ""
    rate = min(trial.rate for trial in trials)
    loss = median(trial.loss for trial in trials if trial.rate == rate)
    said = [f"{rate:,.0f}/s"] if rate < shape.rate else []
    if loss > LOST:
        said.append(f"{loss:.1%} lost")
    return f" ({', '.join(said)})" if said else ""


def _bare(results: Results, scale: Scale) -> str:
    rows = []
    for server, text in ((BARE_ARRIVAL, "waking at each arrival"), (BARE_CLOCK, "by the clock, every 5 ms")):
        row = [text]
        for size, _ in _SIZES:
            bare = _cost(results.bare.get((server.name, size), []))
            shape = _shape(scale, size)
            costs = [_cost(results.cpu.get((name, shape), [])) for name in (COMPILED, PYTHON)]
            row += [_figure(bare), *(_ratio(cost, bare) for cost in costs)]
        rows.append(row)
    header = ["bare recvmmsg loop"]
    for _, text in _SIZES:
        header += [text, "compiled / it", "python / it"]
    return _table(
        "The least possible: CPU seconds per million metrics, received and thrown away",
        header,
        rows,
        "The loop gets the same traffic in the same receive buffer.\n"
        f"The ratios are those of our engines with {scale.few:,} buckets.",
    )


def _shape(scale: Scale, size: int) -> Shape:
    return next(shape for shape in scale.shapes() if shape.size == size and shape.buckets == scale.few)


def _highest(results: Results, names: list[str]) -> str:
    rows = []
    for name in names:
        row = [name]
        for size, _ in _SIZES:
            found, base = results.highest.get((name, size)), results.highest.get((COMPILED, size))
            row.append("-" if found is None else str(found))
            row.append(_ratio(found.rate if found else None, base.rate if base else None))
        rows.append(row)
    header = ["server"]
    for _, text in _SIZES:
        header += [text, "/ compiled"]
    return _table(
        "Highest rate: metrics a second with less than 0.1 % lost",
        header,
        rows,
        "There are 1,000 buckets, and the load generator and the sink run on the same processors.\n"
        "`>=` means that the generator could not send more, 0 that the trials did not find the rate.",
    )


def _resident(results: Results, scale: Scale, names: list[str]) -> str:
    rows = []
    for name in names:
        sizes = [results.resident.get((name, buckets), []) for buckets in scale.resident]
        made = [results.made.get((name, buckets)) for buckets in scale.resident]
        rows.append([name, *(_figure(median(found) if found else None) for found in sizes), *map(_figure, made)])
    header = ["server", *(f"{buckets:,} buckets" for buckets in scale.resident)]
    header += [f"CPU: {buckets:,} new" for buckets in scale.resident]
    return _table(
        "Resident memory, MiB, after a flush, and CPU seconds per million new buckets",
        header,
        rows,
        "The columns of new buckets have the cost of one value for each bucket and of their flush, where only the "
        "buckets of the column before were known.",
    )


def _stall(results: Results, names: list[str]) -> str:
    rows = []
    for name in (*names, BARE_CLOCK.name):
        found = results.stall.get(name, [])
        rows.append([name, *(_stall_row(found) if found else ["-"] * 5)])
    header = ["server", "longest, ms", "worst, ms", "drops", "drops in the storm", "MiB after it"]
    return _table(
        "Receive queue during flushes",
        header,
        rows,
        "Longest is the longest time in which datagrams waited and none was received, at 2,000 datagrams a second: "
        "the median of three intervals, each with a flush of all buckets.\n"
        "Worst is the longest of the three, and drops are those of the kernel meanwhile.\n"
        "The storm is one flush while 200,000 metrics a second come in 1,400-byte datagrams.\n"
        "bare-5ms has no flushes: it shows its own 5 ms and the delays of the machine.",
    )


def _stall_row(found: list[Stall]) -> list[str]:
    datagrams = median(stall.flush_datagrams for stall in found)
    flush_drops = median(stall.flush_drops for stall in found)
    return [
        f"{median(stall.longest_ms for stall in found):.1f}",
        f"{max(stall.worst_ms for stall in found):.1f}",
        f"{median(stall.drops for stall in found):,.0f}",
        f"{flush_drops:,.0f} ({flush_drops / datagrams:.1%})",
        f"{median(stall.resident_mib for stall in found):.1f}",
    ]


def _curve(results: Results, scale: Scale, names: list[str]) -> str:
    rates = sorted({rate for _, rate in results.curve_rates})
    sizes = sorted({buckets for _, buckets in results.curve_buckets})
    rows = []
    for name in names:
        trials = [
            *((results.curve_rates.get((name, rate)), scale.few) for rate in rates),
            *((results.curve_buckets.get((name, buckets)), buckets) for buckets in sizes),
        ]
        if not any(trial for trial, _ in trials):
            continue
        idle = [results.idle.get((name, buckets)) for _, buckets in trials]
        rows += [
            [name, *(_curve_cell(trial, 0.0) for trial, _ in trials)],
            [f"{name}, idling", *(_figure(spent and spent / scale.interval * 1e3) for spent in idle)],
            [
                f"{name}, beyond it",
                *(_curve_cell(trial, spent or 0.0) for (trial, _), spent in zip(trials, idle, strict=True)),
            ],
            [f"{name}, lines a metric", *(_figure(trial.lines_a_metric if trial else None) for trial, _ in trials)],
        ]
    header = ["server", *(f"{rate:,.0f}/s" for rate in rates), *(f"{buckets:,} buckets" for buckets in sizes)]
    return _table(
        "Ours by rate and by number of buckets: CPU seconds per million metrics",
        header,
        rows,
        "The load comes in 1,400-byte datagrams: with 1,000 buckets in the columns of rates, and with 100,000 metrics "
        "a second in the columns of buckets.\n"
        "Idling is milliseconds of CPU a second with as many known buckets and their flushes, while nothing comes.\n"
        "Beyond it is the first line less the cost of idling: the cost of a metric itself.\n"
        "Lines a metric is the number of lines sent to Graphite for each metric received, with the zeros of idle "
        "buckets.",
    )


def _curve_cell(trial: Trial | None, idle: float) -> str:
    if trial is None:
        return "-"
    return _figure(trial.cost_beyond(idle)) + (f" ({trial.loss:.1%} lost)" * (trial.loss > LOST))


def _bars(results: Results, scale: Scale, names: list[str]) -> str:
    found = [
        *_cheaper_than_peers(results, scale, names),
        *_near_the_limit(results, scale),
        *_python_against_etsy(results, scale),
        *_small_and_steady(results, scale, names),
        *_faster_than_peers(results, names),
    ]
    verdicts = {True: "PASS", False: "FAIL", None: "open"}
    rows = [[bar.text, bar.figure, verdicts[bar.met]] for bar in found if bar.figure != "-"]
    missing = len(found) - len(rows)
    notes = [f"{missing} more bars need figures that were not measured."] if missing else []
    return _table("Bars", ["bar", "figure", "met"], rows, *notes)


def _peers(names: list[str]) -> list[str]:
    return [name for name in names if not name.startswith("ours")]


def _cheaper_than_peers(results: Results, scale: Scale, names: list[str]) -> Iterator[Bar]:
    for shape in scale.shapes():
        ours = _cost(results.cpu.get((COMPILED, shape), []))
        costs = {name: _cost(results.cpu.get((name, shape), [])) for name in _peers(names)}
        known = {name: cost for name, cost in costs.items() if cost is not None}
        text = f"compiled: CPU at most the best peer's, {shape}"
        if ours is None or not known:
            yield Bar(text, "-", None)
            continue
        best = min(known, key=known.__getitem__)
        yield Bar(text, f"{ours:.2f}, {best} {known[best]:.2f}", ours <= known[best])


def _near_the_limit(results: Results, scale: Scale) -> Iterator[Bar]:
    ours = _cost(results.cpu.get((COMPILED, _shape(scale, SINGLE)), []))
    for server, text in ((BARE_CLOCK, "the bare loop by the clock"), (BARE_ARRIVAL, "the bare loop at each arrival")):
        bare = _cost(results.bare.get((server.name, SINGLE), []))
        met = None if ours is None or bare is None else ours <= 1.5 * bare
        yield Bar(f"compiled: CPU at most 1.5 x {text}, 1 metric in a datagram", _ratio(ours, bare), met)


def _python_against_etsy(results: Results, scale: Scale) -> Iterator[Bar]:
    for size, times in ((SINGLE, 4.0), (FILLED, 2.5)):
        shape = _shape(scale, size)
        ours, etsy = (_cost(results.cpu.get((name, shape), [])) for name in (PYTHON, "etsy"))
        met = None if ours is None or etsy is None else etsy >= times * ours
        yield Bar(f"python: CPU at least {times} x less than etsy's, {shape}", _ratio(etsy, ours), met)


def _small_and_steady(results: Results, scale: Scale, names: list[str]) -> Iterator[Bar]:
    most = max(scale.resident)
    for name in (COMPILED, PYTHON):
        if name not in names:
            continue
        sizes = results.resident.get((name, most), [])
        mib = median(sizes) if sizes else None
        text = f"{name.removeprefix('ours-')}: at most 60 MiB resident at {most:,} buckets"
        yield Bar(text, _figure(mib), None if mib is None else mib <= 60)
        stalls = results.stall.get(name, [])
        yield _stall_bar(results, name, stalls, scale)
        drops = max(max(stall.drops, stall.flush_drops) for stall in stalls) if stalls else None
        text = f"{name.removeprefix('ours-')}: no drop in any flush at 200,000 metrics a second, {scale.many:,} buckets"
        yield Bar(text, "-" if drops is None else f"{drops:,}", None if drops is None else drops == 0)


def _stall_bar(results: Results, name: str, stalls: list[Stall], scale: Scale) -> Bar:
    text = f"{name.removeprefix('ours-')}: nothing received for at most 10 ms, {scale.many:,} buckets"
    if not stalls:
        return Bar(text, "-", None)
    longest = median(stall.longest_ms for stall in stalls)
    bare = median(stall.longest_ms for stall in results.stall[BARE_CLOCK.name] or [Stall(0, 0, 0, 0, 1, 0)])
    # Where the bare loop stands still for longer than that, the machine decides and not the server.
    met = True if longest <= 10 else None if bare > 10 else False
    return Bar(text, f"{longest:.1f}, bare loop {bare:.1f}", met)


def _faster_than_peers(results: Results, names: list[str]) -> Iterator[Bar]:
    for size, text in _SIZES:
        ours = results.highest.get((COMPILED, size))
        theirs = {name: results.highest[name, size] for name in _peers(names) if (name, size) in results.highest}
        title = f"compiled: highest rate above every peer's, {text}"
        if ours is None or not theirs:
            yield Bar(title, "-", None)
            continue
        best = max(theirs, key=lambda name: theirs[name].rate)
        # A peer that the generator could not fill may be faster than was seen.
        met = None if theirs[best].limited else ours.rate > theirs[best].rate
        if met is False and ours.limited:
            met = None
        yield Bar(title, f"{ours}, {best} {theirs[best]}", met)
