"""What is seen of a disk before numbers are kept on it; molecule/ec2 has a real one."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from modules import run_module

MIB = 1 << 20


@pytest.fixture(scope="session")
def module(load: Callable[[str], ModuleType]) -> ModuleType:
    return load("plugins/modules/data_device.py")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """An empty file, which has on it what a disk would."""
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(8 * MIB)
    return path


def test_what_is_no_disk_is_said_to_be_none(
    module: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    answer = run_module(module, capsys, device=str(tmp_path / "none"), directory=str(tmp_path))
    assert answer["changed"] is False
    nothing = {"block": False, "content": "", "mounted_at": [], "directory_holds": "", "growable_mib": 0}
    assert answer["disk"] == nothing | {"directory_empty": True}


def test_a_directory_that_holds_something_is_told(
    module: ModuleType, capsys: pytest.CaptureFixture[str], disk: Path
) -> None:
    found = run_module(module, capsys, check=True, device=str(disk), directory=str(disk.parent))["disk"]
    assert (found["block"], found["directory_empty"]) == (False, False)


@pytest.mark.skipif(not shutil.which("blkid") or not shutil.which("mkfs.ext4"), reason="no tools for file systems")
def test_content_is_what_lies_on_the_disk(module: ModuleType, disk: Path) -> None:
    assert module.content(str(disk)) == ""
    subprocess.run(["mkfs.ext4", "-q", str(disk), "4096k"], check=True)
    assert module.content(str(disk)) == "ext4"
    assert (module.ext4_bytes(str(disk)), module.device_bytes(str(disk))) == (4 * MIB, 8 * MIB)


def test_what_is_mounted_is_known(module: ModuleType) -> None:
    assert "/proc" in [where for _, where, _ in module.mounts()]
