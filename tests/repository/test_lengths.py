"""No file of code above 400 lines and no function above 40, but for those that say here why they are.

What stands in a list and is no longer that long must leave it. Prose, data and templates may be as long as they must.
"""

import ast
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LISTING = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
LISTED = subprocess.run(LISTING, cwd=ROOT, capture_output=True, text=True, check=True).stdout
KEPT = [Path(name) for name in LISTED.split("\0")]
CODE = (".py", ".pyx", ".pxi", ".pxd", ".sh", ".js", ".ts", ".c", ".h")
MOST_LINES = 400
MOST_IN_FUNCTION = 40

ONE_DAEMON = "the tests of one thread against real sockets share its fixtures; to be split when the next are added"
LONG_FILES = {
    "files/graphing/src/graphing/statsd/model/reference.py": "the reference engine, to be read as a whole",
    "files/graphing/tests/durable/test_journal.py": "crashes at every byte of one format, and the helpers for them",
    "files/graphing/tests/statsd/outward/test_repeater.py": ONE_DAEMON,
    "files/graphing/tests/statsd/outward/test_sender.py": ONE_DAEMON,
    "files/graphing/tests/statsd/test_daemon.py": ONE_DAEMON,
    "plugins/callback/progress.py": "a callback of Ansible is one class in one file",
    "tests/plugins/test_progress.py": "what a person reads of each kind of run, written out",
}
"""Why each may be longer."""

A_PEER = "how one peer is installed and configured, with its files written out"
LONG_FUNCTIONS = {
    "benchmarks/bench_statsd/peers.py: ours": A_PEER,
    "benchmarks/bench_statsd/peers.py: collectd": A_PEER,
    "benchmarks/bench_statsd/peers.py: netdata": A_PEER,
    "benchmarks/bench_statsd/peers.py: command": A_PEER,
    "files/graphing/tests/durable/test_delivery.py: test_a_delivery_loses_and_invents_nothing": "a model and the real "
    "thing side by side, step by step",
    "roles/carbon/files/carbon_guard/__main__.py: install": "all that is replaced in carbon, in one place",
}
"""Why each may be longer, by file and name."""


def is_code(path: Path) -> bool:
    """Whether it is a program's text: by its ending, or by its first line where it has none."""
    file = ROOT / path
    if not file.is_file() or file.is_symlink():
        return False
    if path.suffix:
        return path.suffix in CODE
    return file.read_bytes()[:2] == b"#!"


def is_python(path: Path) -> bool:
    return path.suffix == ".py" or (not path.suffix and b"python" in (ROOT / path).read_bytes().split(b"\n", 1)[0])


def text_of(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_a_file_is_short_or_says_why_not():
    long = {str(path) for path in KEPT if is_code(path) and len(text_of(path).splitlines()) > MOST_LINES}
    assert long == set(LONG_FILES)


def test_a_function_is_short_or_says_why_not():
    long = set()
    for path in filter(is_python, filter(is_code, KEPT)):
        for node in ast.walk(ast.parse(text_of(path))):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            if (node.end_lineno or 0) - node.lineno >= MOST_IN_FUNCTION:
                long.add(f"{path}: {node.name}")
    assert long == set(LONG_FUNCTIONS)
