"""Names in `graphing` and its tests: a type is named once, and those that explained nothing stay away."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

GRAPHING = Path(__file__).resolve().parents[2] / "files/graphing"
SOURCE = sorted((GRAPHING / "src").rglob("*.py"))
PYTHON = [*SOURCE, *sorted((GRAPHING / "tests").rglob("*.py")), *sorted((GRAPHING / "fuzz").rglob("*.py"))]
TWIN = sorted((GRAPHING / "twin").glob("*.p*"))

GONE = {
    "Legacy": "Inheritance",
    "Fed": "Outcome",
    "take_fed": "collect_outcome",
    "told": "complaints, report, value",
    "Sight": "Sighting",
    "sights": "sightings",
    "Wrong": "Mismatch",
    "Wanted": "SniffOptions",
    "wish": "options",
    "ServerSubject": "ServerView",
    "Subject": "View",
    "Refused": "Malformed",
    "Plan": "RenamePlan",
    "Survey": "AgeSurvey, RetentionSurvey",
    "Named": "RefusedName, RefusedBucket",
    "_look_on": "_make_taps",
    "_flush_on": "_continue_flush",
    "_attend": "_serve_others",
    "_until": "_await",
    "uncut": "has_changes",
    "wants_cut": "wants_compaction",
    "take_counts": "collect_counts",
    "take_packets": "collect_packets",
    "take_refused_name": "pop_refused_name",
}
"""What each is called now."""

SEVERAL_ACTS = {"cut", "take", "_cut", "_take"}
"""As names of functions: verbs that said nothing of what is done to what."""


def names_of(path: Path) -> set[str]:
    """All names that a file defines or uses, also as attributes, arguments and in imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.arg | ast.keyword):
            found.add(node.arg or "")
        elif isinstance(node, ast.FunctionDef | ast.ClassDef | ast.alias):
            found.add(node.name)
    return found


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(GRAPHING)))
def test_no_name_of_old_is_back(path):
    assert {name: GONE[name] for name in names_of(path) & GONE.keys()} == {}


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(GRAPHING)))
def test_a_verb_has_an_object(path):
    functions = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
    assert functions & SEVERAL_ACTS == set()


@pytest.mark.parametrize("path", TWIN, ids=lambda path: path.name)
def test_the_compiled_engine_has_the_same_names(path):
    methods = set(re.findall(r"^    def (\w+)\(", path.read_text(), re.MULTILINE))
    assert methods & (GONE.keys() | SEVERAL_ACTS) == set()


def test_a_type_is_named_once():
    classes = Counter(
        node.name for path in SOURCE for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef)
    )
    assert [name for name, times in classes.items() if times > 1] == []
