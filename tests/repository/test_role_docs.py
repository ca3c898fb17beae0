"""The table of variables is made from the specs and the defaults, and the check names what contradicts."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]

DEFAULTS = """---
# How long numbers are kept.
carbon_retentions: 10s:6h,1m:7d

# Two ports that belong together.
carbon_port: 2003
carbon_interval: "{{ carbon_retentions | step('`') }}"

# For example:
#   - {name: short}
carbon_schemas:
  - {name: default, pattern: .*}
"""

SPECS = """---
argument_specs:
  main: &main
    options:
      carbon_retentions:
        type: str
        description: How long, as STEP:LENGTH.
      carbon_port:
        type: int
        description: [The port., "More <here> | there, see C(x<y)."]
      carbon_interval:
        type: int
        description: Derived.
      carbon_schemas:
        type: list
        elements: dict
        description: Rules.
        options:
          pattern:
            required: true
            description: A pattern.
          method:
            choices: [sum, last]
            description: How.
  preflight: *main
"""


@pytest.fixture(scope="module")
def docs() -> ModuleType:
    # The program has no .py at its end, so the loader must be named.
    loader = importlib.machinery.SourceFileLoader("role_docs", str(ROOT / "bin/role-docs"))
    spec = importlib.util.spec_from_loader("role_docs", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules["role_docs"] = module  # dataclasses look their module up
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module


@pytest.fixture
def role(tmp_path: Path, docs: ModuleType) -> Path:
    role = tmp_path / "roles" / "carbon"
    for name, text in {
        "defaults/main.yml": DEFAULTS,
        "meta/argument_specs.yml": SPECS,
        "vars/main.yml": "_carbon_user: _graphite\n",
        "README.md": f"# carbon\n\n{docs.BEGIN}\n{docs.END}\n\nThe end.\n",
    }.items():
        (role / name).parent.mkdir(parents=True, exist_ok=True)
        (role / name).write_text(text)
    return role


def run(role: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "bin/role-docs", *arguments],
        cwd=role.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_table_holds_type_default_and_description(role: Path) -> None:
    assert run(role).returncode == 0
    assert (role / "README.md").read_text().split("\n") == [
        "# carbon",
        "",
        "<!-- variables:begin (made by bin/role-docs; edit meta/argument_specs.yml) -->",
        "",
        "| Variable | Type | Default | Description |",
        "|---|---|---|---|",
        "| `carbon_retentions` | str | `10s:6h,1m:7d` | How long, as STEP:LENGTH. |",
        "| `carbon_port` | int | `2003` | The port. More &lt;here> \\| there, see `x<y`. |",
        "| `carbon_interval` | int | `` {{ carbon_retentions \\| step('`') }} `` | Derived. |",
        "| `carbon_schemas` | list of dict | `[{name: default, pattern: .*}]` | Rules. |",
        "| `carbon_schemas.pattern` | str | **required** | A pattern. |",
        "| `carbon_schemas.method` | str: `sum`, `last` | | How. |",
        "",
        "<!-- variables:end -->",
        "",
        "The end.",
        "",
    ]


def test_check_names_a_stale_readme_and_writes_nothing(role: Path) -> None:
    before = (role / "README.md").read_text()
    ran = run(role, "--check")
    assert (ran.returncode, ran.stderr) == (1, "roles/carbon/README.md: stale; run bin/role-docs\n")
    assert (role / "README.md").read_text() == before


def test_check_is_silent_once_written(role: Path) -> None:
    run(role)
    ran = run(role, "--check")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_program_is_executable() -> None:
    assert os.access(ROOT / "bin/role-docs", os.X_OK)


@pytest.mark.parametrize(
    ("file", "before", "after", "problem"),
    [
        (
            "defaults/main.yml",
            "carbon_port: 2003",
            "carbon_port: 2003\ncarbon_x: 1",
            "carbon_x is in defaults/main.yml but not in meta/argument_specs.yml",
        ),
        (
            "defaults/main.yml",
            "carbon_port: 2003\n",
            "",
            "carbon_port is not required and has no default in defaults/main.yml",
        ),
        (
            "defaults/main.yml",
            "# How long numbers are kept.\n",
            "",
            "carbon_retentions has no comment above it in defaults/main.yml",
        ),
        (
            "defaults/main.yml",
            "carbon_interval",
            "\ncarbon_interval",
            "carbon_interval has no comment above it in defaults/main.yml",
        ),
        (
            "meta/argument_specs.yml",
            "        description: Derived.",
            "        default: 1\n        description: Derived.",
            "carbon_interval has a default in meta/argument_specs.yml; its place is defaults/main.yml",
        ),
        (
            "meta/argument_specs.yml",
            "            description: How.\n",
            "",
            "carbon_schemas.method has no description in meta/argument_specs.yml",
        ),
        (
            "vars/main.yml",
            "_carbon_user",
            "carbon_user",
            "carbon_user in vars/ does not begin with _carbon_",
        ),
        ("meta/argument_specs.yml", "main: &main", "other: &main", "has no entry point main"),
    ],
)
def test_check_names_a_contradiction(role: Path, file: str, before: str, after: str, problem: str) -> None:
    run(role)
    text = (role / file).read_text()
    assert before in text
    (role / file).write_text(text.replace(before, after, 1))
    ran = run(role, "--check")
    assert ran.returncode == 1
    assert problem in ran.stderr


def test_a_variable_of_another_role_is_named(role: Path) -> None:
    for file in ("defaults/main.yml", "meta/argument_specs.yml"):
        path = role / file
        path.write_text(path.read_text().replace("carbon_port:", "port:"))
    assert "roles/carbon: port does not begin with carbon_" in run(role, "--check").stderr


def test_a_required_variable_needs_no_default(role: Path) -> None:
    path = role / "meta/argument_specs.yml"
    path.write_text(path.read_text().replace("carbon_port:\n", "carbon_port:\n        required: true\n"))
    path = role / "defaults/main.yml"
    path.write_text(path.read_text().replace("carbon_port: 2003\n", ""))
    assert run(role).returncode == 0
    assert "| `carbon_port` | int | **required** |" in (role / "README.md").read_text()


def test_another_entry_point_gets_a_table_of_its_own_but_an_alias_does_not(role: Path) -> None:
    path = role / "meta/argument_specs.yml"
    more = "  service:\n    options:\n      carbon_unit: {required: true, description: A unit.}\n"
    path.write_text(path.read_text() + more)
    assert run(role).returncode == 0
    readme = (role / "README.md").read_text()
    assert "With `tasks_from: service`:\n\n| Variable" in readme
    assert readme.count("| Variable") == 2


@pytest.mark.parametrize("what", ["missing", "lacks these two lines"])
def test_a_readme_without_markers_is_named(role: Path, what: str) -> None:
    (role / "README.md").unlink()
    if what != "missing":
        (role / "README.md").write_text("# carbon\n")
    ran = run(role)
    assert ran.returncode == 1
    assert f"roles/carbon/README.md: {what}" in ran.stderr


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a:\n  - 1\n  - {b: 2}  # why\n", "[1, {b: 2}]"),
        ("a:\n  x: 1\n  b:\n    - 2\n", "{x: 1, b: [2]}"),
        ("a: '0640'\n", "'0640'"),
        ('a: ""\n', '""'),
        ("a:\n", "null"),
        ("a: >-\n  {{ b\n  | c }}\n", "{{ b | c }}"),
        (f"a: {'x' * 80}\n", f"{'x' * 56} ..."),
    ],
)
def test_a_default_is_shown_as_written_on_one_line(docs: ModuleType, written: str, shown: str) -> None:
    assert docs.read_defaults(written)[0].text == shown
