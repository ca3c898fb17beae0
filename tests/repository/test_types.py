"""Every Python file of the repository is one that `bin/types` checks."""

import configparser
import subprocess
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTING = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"]


def checked() -> list[str]:
    """Patterns of what is checked: the list in mypy.ini, and the words of bin/types that are paths."""
    config = configparser.ConfigParser()
    config.read(ROOT / "mypy.ini")
    sources = [path.strip() for path in config["mypy"]["files"].split(",")]
    words = (ROOT / "bin/types").read_text().replace(";", " ").split()
    return [*sources, *(word for word in words if word.startswith(("files/", "molecule/", "tests/")))]


def test_every_python_file_is_checked():
    patterns = checked()
    kept = subprocess.run(LISTING, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(kept) > 300
    missed = [
        name
        for name in kept
        if not any(fnmatch(name, pattern) or fnmatch(name, f"{pattern}/*") for pattern in patterns)
        and not fnmatch(name, "roles/*/files/*")
    ]
    assert missed == []
