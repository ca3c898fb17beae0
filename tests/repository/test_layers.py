"""Who may import whom in `graphing`: what lies lower knows nothing of what lies higher; no third party is needed."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "files/graphing/src"

# From the bottom up. Parts of one line may not import each other.
LAYERS = [
    ["core"],
    ["durable", "net", "carboncache", "whisperfile"],
    ["statsd.settings", "statsd.model"],
    ["statsd.survival"],
    ["statsd.engine"],
    ["statsd.intake", "statsd.outward"],
    ["statsd.admin"],
    ["statsd.server", "sniff"],
    ["checks", "store"],
    ["watchdog", "backup"],
    ["doctor"],
    ["cli"],
    ["__main__"],
]
# A layer whose parts know each other, because they describe one thing together.
TOGETHER = [{"statsd.settings", "statsd.model"}]
# What a virtual environment has only where the host's own Python has it, loaded when a command needs it.
LATE = {"whisper", "graphing_twin"}


def level(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def part_of(module: str) -> str:
    """`graphing.statsd.model.protocol` belongs to `statsd.model`, `graphing.core.log` to `core`."""
    names = module.split(".")[1:]
    return ".".join(names[:2]) if names[:1] == ["statsd"] else ".".join(names[:1])


def imports(path: Path) -> set[str]:
    """The modules that a file imports, wherever it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            modules = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {module if is_module(module) else str(node.module) for module in modules}
    return found


def is_module(name: str) -> bool:
    path = SOURCE / name.replace(".", "/")
    return path.with_suffix(".py").exists() or path.is_dir()


def module_name(path: Path) -> str:
    names = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_no_import_runs_upward(path):
    own = part_of(module_name(path))
    if own in {"", "statsd"}:
        return
    for module in imports(path):
        if not module.startswith("graphing."):
            continue
        other = part_of(module)
        allowed = other == own or {own, other} in TOGETHER or level(other) < level(own)
        assert allowed, f"{module_name(path)} imports {module}, which lies above it or beside it"


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_only_the_standard_library_is_needed(path):
    tops = {module.split(".")[0] for module in imports(path)}
    assert tops - sys.stdlib_module_names - LATE <= {"graphing"}


def test_every_part_has_its_layer():
    parts = {part_of(module_name(path)) for path in FILES} - {"", "statsd"}
    assert parts <= {part for layer in LAYERS for part in layer}
