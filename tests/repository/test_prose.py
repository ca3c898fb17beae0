"""Markdown: one sentence a line, none too long for one reading, and every link leads somewhere.

A line that holds one sentence makes a small difference when a sentence changes. Prose is what is no heading, table,
block of code or comment.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTING = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"]
KEPT = subprocess.run(LISTING, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
PAGES = [name for name in KEPT if name and (ROOT / name).is_file()]

LONGEST = 250
"""Characters of a line as a reader sees it, without the targets of links."""

MARK = r"[.!?][)\"'*_]*"
ABBREVIATIONS = ("e.g.", "i.e.", "etc.", "vs.", "cf.")
ITEM = re.compile(r"\s*(?:[-*+]|\d+[.)])\s+")
LABEL = re.compile(r"\s*\*\*[^*]+\*\* ")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Line:
    """A line of prose: where it stands, and whether its paragraph goes on in the next one."""

    number: int
    text: str
    goes_on: bool


def uncoded(text: str) -> str:
    """The same without blocks of code, spans of code and comments; line by line, so that numbers stay."""
    for pattern in (r"^( *)```.*?^\1```", r"<!--.*?-->", r"(`+)(?!`).*?(?<!`)\1(?!`)"):
        text = re.sub(pattern, lambda match: re.sub(r"[^\n]+", "x", match[0]), text, flags=re.DOTALL | re.MULTILINE)
    return text


def prose(text: str) -> list[Line]:
    lines = [LINK.sub("[x]", line) for line in uncoded(text).split("\n")]

    def continues(line: str) -> bool:
        return bool(line.strip(" x")) and not ITEM.match(line) and not line.lstrip().startswith(("|", "#"))

    return [
        Line(number, line, goes_on=continues(after))
        for number, (line, after) in enumerate(zip(lines, [*lines[1:], ""], strict=True), 1)
        if line.strip(" x") and not line.lstrip().startswith(("|", "#", "!"))
    ]


def complaints(text: str) -> Iterator[str]:
    """What is wrong with a page, each with the number of its line."""
    shown = text.split("\n")
    for line in prose(text):
        visible = re.sub(r"\]\([^)]*\)", "]", shown[line.number - 1])
        if len(visible) > LONGEST:
            yield f"{line.number}: {len(visible)} characters: make two sentences of it, or a table"
        # The number of a list's entry, a label in bold and what stands in parentheses are not sentences.
        words = re.sub(r"\([^()]*\)", "x", LABEL.sub("x ", ITEM.sub("", line.text, count=1), count=1))
        for match in re.finditer(rf"{MARK}(?=\s+\S)", words):
            if not words[: match.end()].endswith(ABBREVIATIONS):
                yield f"{line.number}: a second sentence begins after {words[: match.end()][-30:]!r}"
        if line.goes_on and not re.search(rf"({MARK}|[:;])\s*$", words):
            yield f"{line.number}: the sentence goes on in the next line: {words[-30:]!r}"


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as they stand in addresses."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE)
    plain = [LINK.sub(lambda match: match[0].partition("]")[0][1:], heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", heading).replace(" ", "-") for heading in plain}


def broken_links(name: str) -> list[str]:
    page = ROOT / name
    targets = LINK.findall(uncoded_links(page.read_text()))
    return [target for target in targets if not target.startswith(("https://", "http://")) and not leads(page, target)]


def uncoded_links(text: str) -> str:
    """The same without blocks of code. A link's text may be code."""
    return re.sub(r"^( *)```.*?^\1```", "", text, flags=re.DOTALL | re.MULTILINE)


def leads(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    found = (page.parent / path).resolve() if path else page
    return found.exists() and (not anchor or anchor in anchors(found.read_text()))


@pytest.mark.parametrize("name", PAGES)
def test_each_sentence_has_a_line(name: str) -> None:
    assert list(complaints((ROOT / name).read_text())) == []


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    assert broken_links(name) == []


@pytest.mark.parametrize(
    "text",
    [
        "One sentence. Another one.",
        "- One sentence (in a list). another one.",
        "A sentence that is broken\nin the middle.",
        f"A {'very ' * 50}long one.",
        "1. **One**. Another one. A third.",
    ],
)
def test_what_is_hard_to_read_is_noticed(text: str) -> None:
    assert list(complaints(text))


@pytest.mark.parametrize(
    "text",
    [
        "One sentence.\nAnother one (with a part. in parentheses).\n\n```sh\nmake. Up\n```\n",
        "| a table. with | two sentences. |\n|---|---|",
        "# A heading. Of two",
        "**Why.** A label stays with its sentence.\n\n- **One store.** It does.",
        "- `a.b c. D` takes 1.5 s, e.g. here:\n  see [a page. Or two](docs/README.md).",
        "It says `one. two`:\n- an entry\n- another one",
        f"A [link]({'https://x/' * 40}) is short.",
    ],
)
def test_what_is_easy_to_read_is_let_through(text: str) -> None:
    assert list(complaints(text)) == []


def test_a_link_that_leads_nowhere_is_noticed() -> None:
    readme = ROOT / "README.md"
    assert leads(readme, "docs/aggregator.md#what-a-line-may-look-like")
    assert not leads(readme, "docs/aggregator.md#what-nobody-wrote")
    assert not leads(readme, "docs/nowhere.md")
