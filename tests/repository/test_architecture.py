"""docs/architecture.md and the tree agree: every path that the page names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/architecture.md"
PACKAGE = ROOT / "files/graphing/src/graphing"
"""The page says that paths inside the package stand without this."""

NAMED = re.compile(r"(?<!`)`([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*/?)`(?!`)")
ENDINGS = (".py", ".pyx", ".yml", ".j2", ".md", ".toml")


def paths(text: str) -> list[str]:
    """What stands in backticks and is a folder (with a slash at its end) or a file of the repository."""
    found = [match[1] for match in NAMED.finditer(re.sub(r"```.*?```", "", text, flags=re.DOTALL))]
    return [path for path in found if path.endswith(("/", *ENDINGS))]


def is_there(path: str) -> bool:
    # A role's own file, such as `vars/main.yml` of each role, is there when some role has it.
    return (ROOT / path).exists() or (PACKAGE / path).exists() or any(ROOT.glob(f"roles/*/{path}"))


def test_the_page_names_paths() -> None:
    assert len(paths(PAGE.read_text())) > 40


@pytest.mark.parametrize("path", sorted(set(paths(PAGE.read_text()))))
def test_what_the_page_names_is_there(path: str) -> None:
    assert is_there(path)


def test_every_folder_of_the_package_is_named() -> None:
    folders = {f"{path.parent.relative_to(PACKAGE)}/" for path in PACKAGE.glob("**/__init__.py")} - {"./", "statsd/"}
    assert folders - set(paths(PAGE.read_text())) == set()


def test_a_path_that_is_gone_is_noticed() -> None:
    found = paths(
        "see `statsd/engine/choice.py`, `statsd/nowhere.py` and `roles/nobody/`, `kill -9`, `/run`, `.corrupt`"
    )
    assert found == ["statsd/engine/choice.py", "statsd/nowhere.py", "roles/nobody/"]
    assert not is_there("statsd/nowhere.py")
    assert not is_there("roles/nobody/")
