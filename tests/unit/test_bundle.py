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
    path, digest = run.stdout.split()
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == digest
    return Path(path), digest


@pytest.fixture
def source(tmp_path):
    copy = tmp_path / "graphing"
    shutil.copytree(ROOT / "files/graphing", copy, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    return copy


def test_it_holds_the_wheel_the_locked_requirements_the_installer_and_the_c_code(source, tmp_path):
    path, _ = bundle(source, tmp_path / "out")
    with tarfile.open(path) as archive:
        names = archive.getnames()
    (wheel,) = (name for name in names if name.endswith(".whl"))
    assert wheel.startswith("graphing-")
    others = {"compile.sh", "graphing_twin.c", "install.sh", "requirements.txt", "with_compiler.sh"}
    assert set(names) - {wheel} == others


def test_the_same_source_gives_the_same_bytes_whenever_it_was_checked_out(source, tmp_path):
    _, first = bundle(source, tmp_path / "one")
    for file in source.rglob("*"):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    _, second = bundle(source, tmp_path / "two")
    assert first == second


@pytest.mark.parametrize("changed", ["src/graphing/line.py", "requirements.txt"])
def test_another_source_gives_others(source, tmp_path, changed):
    _, first = bundle(source, tmp_path / "one")
    (source / changed).write_text((source / changed).read_text() + "# more\n")
    _, second = bundle(source, tmp_path / "two")
    assert first != second
