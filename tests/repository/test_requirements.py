"""Every Python package that is installed is one exact version with its hashes, and nothing installs otherwise."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTING = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
KEPT = subprocess.run(LISTING, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")


def requirements(text: str) -> list[str]:
    """The requirements of a list, each on one line, without comments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    return [entry for entry in re.sub(r"\\\n\s*", " ", "\n".join(lines)).splitlines() if entry.strip()]


def unlocked(text: str) -> list[str]:
    """Requirements that are not one version with a SHA-256 at least."""
    locked = re.compile(r"[A-Za-z0-9._-]+(\[[^\]]+\])?==[^\s;]+( *;[^\\]+?)?( +--hash=sha256:[0-9a-f]{64})+ *")
    return [entry for entry in requirements(text) if not locked.fullmatch(entry)]


@pytest.mark.parametrize("name", [name for name in KEPT if Path(name).name == "requirements.txt"])
def test_every_requirement_is_locked(name: str) -> None:
    assert unlocked((ROOT / name).read_text()) == []


def test_there_are_lists_for_tools_and_hosts() -> None:
    assert {"requirements.txt", "files/graphing/requirements.txt", "files/photoworld/requirements.txt"} <= set(KEPT)


def test_nothing_is_installed_otherwise() -> None:
    """Each `pip install` takes a locked list, or files that lie beside it."""
    programs = [
        name for name in KEPT if re.match(r"(bin|roles|benchmarks|\.ci)/|Makefile$", name) and (ROOT / name).is_file()
    ]
    assert {"bin/venv", "roles/python_app/files/install_release.sh"} <= set(programs)
    commands = []
    for name in programs:
        try:
            text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
        except UnicodeDecodeError:
            continue
        commands += [f"{name}: {line.strip()}" for line in text.splitlines() if re.search(r"\bpip3? install\b", line)]
    assert commands
    loose = [line for line in commands if "--require-hashes" not in line and "--no-deps --no-index" not in line]
    assert loose == []


@pytest.mark.parametrize(
    "text",
    [
        "flask\n",
        "flask>=3\n",
        "flask==3.1.0\n",
        f"flask>=3 \\\n    --hash=sha256:{'a' * 64}\n",
        "-e .\n",
        "flask==3 --hash=md5:aa\n",
    ],
)
def test_a_loose_requirement_is_noticed(text: str) -> None:
    assert unlocked(text)
