"""What a run comes to: a line for each seed of a row, and the table of docs/reliability.md."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verdict import Settled, Verdict

DOCS = Path(__file__).resolve().parents[2] / "docs/reliability.md"
END = "<!-- end -->"


@dataclass
class Result:
    """One row with one seed."""

    row: str
    title: str
    seed: int
    command: str
    settled: Settled = field(default_factory=lambda: Settled(Verdict(), 0.0))
    peak: int = 0
    """Bytes."""
    at_risk: str = ""
    note: str = ""
    """A loss that a limit of carbon or whisper allows, with its reason."""
    passed: bool = False

    def __str__(self) -> str:
        verdict = self.settled.verdict
        parts = [
            f"{self.row:<4} seed {self.seed}  {'ok    ' if self.passed else 'FAILED'}",
            f"missing {verdict.missing:,}",
            f"spurious {verdict.spurious:,}",
            f"duplicated {verdict.duplicated:,}",
            f"recovered in {self.settled.seconds:.1f} s",
            f"peak {memory(self.peak)}",
            f"at risk: {self.at_risk or 'NOTHING'}",
        ]
        if verdict.broken:
            parts.append(f"broken files {verdict.broken}")
        return "  ".join([*parts, self.note])


@dataclass
class Alarmed:
    """A fault that the watchdog has told of."""

    fault: str
    alarms: str
    seconds_on: float | None
    """From the fault until all of them were on; None where there was none."""
    seconds_off: float | None
    """From its end until none was on any more."""

    def __str__(self) -> str:
        times = f"on after {span(self.seconds_on)}, off after {span(self.seconds_off)}"
        return f"alarms, {self.fault}: {self.alarms}; {times}"


def span(seconds: float | None) -> str:
    """Seconds for people."""
    return "-" if seconds is None else f"{seconds:.0f} s"


def memory(size: int) -> str:
    """Bytes as MiB; a dash where nobody looked."""
    return f"{size / 2**20:.0f} MiB" if size else "-"


def table_row(results: list[Result]) -> str:
    """One line of the table: the worst of each figure over the seeds."""
    last = results[-1]
    verdicts = [result.settled.verdict for result in results]
    cells = [
        last.row,
        f"{last.title}<br>`{last.command}`",
        "yes" if all(result.passed for result in results) else "**no**",
        str(len(results)),
        f"{max(verdict.missing for verdict in verdicts):,}",
        f"{max(verdict.spurious for verdict in verdicts):,}",
        f"{max(verdict.duplicated for verdict in verdicts):,}",
        f"{max(result.settled.seconds for result in results):.0f} s",
        memory(max(result.peak for result in results)),
        "<br>".join(filter(None, [last.at_risk, last.note])),
    ]
    return "| " + " | ".join(cells) + " |"


@dataclass(frozen=True)
class Table:
    """One of the tables of the page."""

    begin: str
    head: str
    key: str
    """Finds in a line what it is about."""
    order: Callable[[str], Any]

    def write(self, new: dict[str, str], when: str) -> None:
        """Put lines into it; lines of other keys stay as they are."""
        before, rest = DOCS.read_text(encoding="utf-8").split(self.begin)
        table, after = rest.split(END, 1)
        lines = {match[1]: line for line in table.splitlines() if (match := re.match(self.key, line))} | new
        ordered = [lines[name] for name in sorted(lines, key=self.order)]
        text = [before + self.begin, "", when, "", self.head, *ordered, "", END + after]
        DOCS.write_text("\n".join(text), encoding="utf-8")


ROWS = Table(
    "<!-- rows:begin (made by tests/faults with --write-docs) -->",
    "| | fault | holds | runs | missing | spurious | duplicated | recovered in | peak memory | at risk, limits |\n"
    "|---|---|---|---:|---:|---:|---:|---:|---:|---|",
    r"\| (R\d+) \|",
    lambda row: int(row[1:]),
)
ALARMS = Table(
    "<!-- alarms:begin (made by tests/faults with --write-docs) -->",
    "| fault | alarms | on after | off after |\n|---|---|---:|---:|",
    r"\| (?!fault)([a-z][^|]+?) \|",
    str.casefold,
)


def write_alarms(alarmed: Iterable[Alarmed], system: str) -> None:
    """Put the alarms of this run into their table."""
    new = {
        each.fault: f"| {each.fault} | {each.alarms} | {span(each.seconds_on)} | {span(each.seconds_off)} |"
        for each in alarmed
    }
    when = f"Last run: {datetime.date.today().isoformat()}, on {system}."
    ALARMS.write(new, when)


def write_docs(results: Iterable[Result], system: str) -> None:
    """Put the rows of this run into their table."""
    by_row: dict[str, list[Result]] = {}
    for result in results:
        by_row.setdefault(result.row, []).append(result)
    new = {row: table_row(found) for row, found in by_row.items()}
    when = f"Last run: {datetime.date.today().isoformat()}, {', '.join(by_row)}, on {system}."
    ROWS.write(new, when)
