"""The bundle that a host is given: the same source gives the same bytes, another source others."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def bundle(source, outdir):
    run = subprocess.run(
        [sys.executable, ROOT / "roles/python_app/files/bundle.py", source, outdir],
        capture_output=True,
        text=True,
        check=True,
    )
    path, digest = run.stdout.splitlines()
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest
    return Path(path), digest


@pytest.fixture
def source(tmp_path):
    copy = tmp_path / "graphing"
    shutil.copytree(ROOT / "files/graphing", copy, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    return copy


@pytest.fixture(scope="module")
def outdir(tmp_path_factory):
    """Where the C code that was made once is found again."""
    return tmp_path_factory.mktemp("bundles")


def test_it_holds_the_wheel_the_locked_requirements_the_installer_and_the_c_code(source, outdir):
    path, _ = bundle(source, outdir)
    with tarfile.open(path) as archive:
        names = archive.getnames()
    (wheel,) = (name for name in names if name.endswith(".whl"))
    assert wheel.startswith("graphing-")
    others = {"compile.sh", "graphing_twin.c", "install.sh", "requirements.txt", "with_compiler.sh"}
    assert set(names) - {wheel} == others


def test_the_same_source_gives_the_same_bytes_whenever_and_wherever_it_was_checked_out(source, outdir, tmp_path):
    one, first = bundle(source, outdir)
    for file in source.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    elsewhere = shutil.copytree(source, tmp_path / "elsewhere" / source.name)
    two, second = bundle(elsewhere, tmp_path / "another")
    assert first == second
    assert one.name == two.name


@pytest.mark.parametrize("changed", ["src/graphing/core/line.py", "requirements.txt"])
def test_another_source_gives_others_beside_it(source, outdir, changed):
    one, first = bundle(source, outdir)
    (source / changed).write_text((source / changed).read_text() + "# more\n")
    two, second = bundle(source, outdir)
    assert first != second
    assert one != two
    assert one.exists()


def test_a_changed_part_of_the_compiled_engine_gives_other_c_code(source, outdir):
    _, first = bundle(source, outdir)
    part = source / "twin/sums.pxi"
    part.write_text(part.read_text() + "\n\ncdef double one() noexcept nogil:\n    return 1.0\n")
    _, second = bundle(source, outdir)
    assert first != second
