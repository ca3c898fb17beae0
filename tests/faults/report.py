"""What a run comes to: a line for each seed of a row, and the table of docs/reliability.md."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from verdict import Settled, Verdict

DOCS = Path(__file__).resolve().parents[2] / "docs/reliability.md"
BEGIN = "<!-- rows:begin (made by tests/faults with --write-docs) -->"
END = "<!-- rows:end -->"
HEAD = (
    "| | fault | holds | runs | missing | spurious | duplicated | recovered in | peak memory | at risk, limits |\n"
    "|---|---|---|---:|---:|---:|---:|---:|---:|---|"
)


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


def write_docs(results: Iterable[Result], system: str) -> None:
    """Put the rows of this run into the table; rows that did not run keep their last figures."""
    text = DOCS.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    table, after = rest.split(END)
    rows = {match[1]: line for line in table.splitlines() if (match := re.match(r"\| (R\d+) \|", line))}
    by_row: dict[str, list[Result]] = {}
    for result in results:
        by_row.setdefault(result.row, []).append(result)
    rows |= {row: table_row(found) for row, found in by_row.items()}
    ordered = [rows[row] for row in sorted(rows, key=lambda row: int(row[1:]))]
    when = f"Last run: {datetime.date.today().isoformat()}, {', '.join(by_row)}, on {system}."
    DOCS.write_text("\n".join([before + BEGIN, "", when, "", HEAD, *ordered, "", END + after]), encoding="utf-8")
