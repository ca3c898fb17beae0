"""What preflight says of the places that roles write to."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from graphing.statsd.survival import datagram_log

ROOT = Path(__file__).resolve().parents[2]
STORE: dict[str, Any] = {
    "path": "/store",
    "role": "carbon",
    "mib": 256,
    "files": 1000,
    "reserve_mib": 282,
    "setting": "carbon_disk_reserve",
}
OPT: dict[str, Any] = {"path": "/opt", "role": "host", "mib": 2048, "setting": "host_free_mib"}
VAR: dict[str, Any] = {"path": "/var", "role": "host", "mib": 2048, "setting": "host_free_mib"}


@pytest.fixture
def problems(load: Callable[[str], ModuleType]) -> Callable[..., list[str]]:
    places = load("roles/host/filter_plugins/places.py")
    return lambda wanted, seen, installed=False: places.place_problems(wanted, seen, installed)


def disk(mount: str, free_mib: int, free_files: int | None = 10**6, read_only: bool = False) -> dict[str, Any]:
    return {"mount": mount, "free_mib": free_mib, "free_files": free_files, "read_only": read_only}


def test_a_store_on_a_disk_of_its_own_needs_its_reserve_and_more(problems: Callable[..., list[str]]) -> None:
    ample = {"/opt": disk("/", 9000), "/var": disk("/", 9000)}
    assert problems([OPT, VAR, STORE], ample | {"/store": disk("/store", 538)}) == []
    (found,) = problems([OPT, VAR, STORE], ample | {"/store": disk("/store", 537)})
    assert found == (
        "The file system at /store has 537 MiB free, and 538 are needed: 538 for /store (role carbon). "
        "Free some there, or give it a larger disk, or lower carbon_disk_reserve if you know better."
    )


def test_roles_on_one_disk_add_up_and_a_role_counts_once(problems: Callable[..., list[str]]) -> None:
    def together(free: int) -> dict[str, Any]:
        return {place["path"]: disk("/", free) for place in (OPT, VAR, STORE)}

    assert problems([OPT, VAR, STORE], together(2048 + 538)) == []
    (found,) = problems([OPT, VAR, STORE], together(2048 + 537))
    assert "2586 are needed: 2048 for /opt (role host), 538 for /store (role carbon" in found


def test_a_second_run_asks_for_the_reserve_alone(problems: Callable[..., list[str]]) -> None:
    seen = {"/opt": disk("/", 0, 0), "/store": disk("/store", 282, 0)}
    assert problems([OPT, STORE], seen, installed=True) == []
    (found,) = problems([OPT, STORE], seen | {"/store": disk("/store", 281)}, installed=True)
    assert "/store has 281 MiB free, and 282 are needed" in found


def test_inodes_count_where_a_file_system_counts_them(problems: Callable[..., list[str]]) -> None:
    assert problems([STORE], {"/store": disk("/store", 9000, None)}) == []
    (found,) = problems([STORE], {"/store": disk("/store", 9000, 999)})
    assert "/store has 999 inodes free, and 1000 are needed" in found
    assert "carbon_disk_reserve" not in found


@pytest.mark.parametrize("installed", [False, True])
def test_a_read_only_place_is_refused_at_every_run(problems: Callable[..., list[str]], installed: bool) -> None:
    (found,) = problems([STORE], {"/store": disk("/store", 9000, read_only=True)}, installed)
    assert "/store is read-only" in found
    assert "remount,rw" in found


def test_a_place_to_come_is_judged_by_what_it_will_lie_on(load: Callable[[str], ModuleType], tmp_path: Path) -> None:
    look = load("roles/host/files/probe.py").place
    (tmp_path / "linked").symlink_to("/dev/shm/of-nobody")
    assert look("/dev/shm/a/b")["mount"] == look(str(tmp_path / "linked/c"))["mount"] == "/dev/shm"
    free = os.statvfs("/dev/shm")
    assert look("/dev/shm/a/b")["free_mib"] == pytest.approx(free.f_bavail * free.f_frsize >> 20, abs=64)
    assert look("/dev/shm/a/b")["read_only"] is False
    assert look("/proc/none")["free_files"] is None, "/proc counts no inodes"


def test_the_log_of_datagrams_has_room_for_two(problems: Callable[..., list[str]]) -> None:
    """One that a crash left, the new one, and a MiB of records: as roles/statsd asks for and datagram_log.py takes."""
    variables = yaml.safe_load((ROOT / "roles/statsd/vars/main.yml").read_text())
    (run,) = [place for place in variables["_statsd_places"] if place["path"] == "/run/statsd"]
    one, both = run["reserve_mib"] << 20, run["reserve_mib"] + run["mib"]
    assert one >= datagram_log.SIZE + (1 << 20)
    assert both << 20 >= 2 * datagram_log.SIZE + (1 << 20)
    assert one < datagram_log.SIZE + (4 << 20), "and not much more"

    def found(free: int, installed: bool = False) -> list[str]:
        return problems([run], {"/run/statsd": disk("/run", free)}, installed)

    assert found(both) == found(run["reserve_mib"], installed=True) == []
    (small,) = found(24)
    assert small.startswith(f"The file system at /run has 24 MiB free, and {both} are needed: {both} for /run/statsd")
    assert "Free some there, or make it larger by `mount -o remount,size=64M /run`" in small
    assert "larger disk" not in small
    assert found(24, installed=True), "one that has no log yet is told too"
