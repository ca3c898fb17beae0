"""What a host was before the platform came: written once, added to, and told when the platform goes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from modules import run_module


class Host:
    """One whose packages are a list, and whose apt removes what it is asked to."""

    def __init__(self, module: ModuleType, capsys: pytest.CaptureFixture[str], record: Path) -> None:
        self.module, self._capsys, self.record = module, capsys, record
        self.packages = ["bash", "openssh-server"]
        self.removed_with: dict[str, set[str]] = {}

    def act(self, action: str, *names: str, check: bool = False) -> dict[str, Any]:
        return run_module(self.module, self._capsys, check, action=action, names=list(names))

    def brought(self) -> dict[str, Any]:
        found: dict[str, Any] = self.act("brought")["brought"]
        return found

    def remove(self, names: list[str], *_options: str) -> set[str]:
        return {gone for name in names for gone in {name} | self.removed_with.get(name, set())}


@pytest.fixture
def host(
    load: Callable[[str], ModuleType],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Host:
    module = load("plugins/modules/package_record.py")
    found = Host(module, capsys, tmp_path / "graphing/before.json")
    monkeypatch.setattr(module, "RECORD", found.record)
    monkeypatch.setattr(module, "installed", lambda: sorted(found.packages))
    monkeypatch.setattr(module, "removed_with", found.remove)
    return found


def test_the_first_note_keeps_what_was_there(host: Host) -> None:
    assert host.act("note", "nginx-light")["changed"] is False
    host.packages.append("nginx-light")
    host.act("note", "carbon-c-relay")
    record = json.loads(host.record.read_text())
    assert record["packages"] == ["bash", "openssh-server"]
    assert record["asked"] == ["carbon-c-relay", "nginx-light"]


def test_what_came_goes_and_what_was_there_stays(host: Host) -> None:
    host.act("note", "nginx-light", "bash")
    host.packages += ["nginx-light", "nginx-common"]
    host.removed_with["nginx-light"] = {"nginx-common"}
    brought = host.brought()
    assert (brought["packages"], brought["stay"]) == (["nginx-common", "nginx-light"], [])


def test_what_another_package_needs_by_now_stays(host: Host) -> None:
    host.act("note", "openssl", "ngrep")
    host.packages += ["openssl", "ngrep", "somebodys"]
    host.removed_with["openssl"] = {"somebodys"}
    host.packages.remove("somebodys")

    def remove(names: list[str], *options: str) -> set[str]:
        return set(names) if options else host.remove(names)

    host.module.removed_with = remove  # type: ignore[attr-defined]  # a module loaded as a file
    brought = host.brought()
    assert (brought["packages"], brought["stay"]) == (["ngrep"], ["openssl"])


def test_without_a_record_nothing_is_known_and_nothing_goes(host: Host) -> None:
    brought = host.brought()
    assert (brought["known"], brought["packages"]) == (False, [])


def test_the_kernels_values_are_kept_once(host: Host) -> None:
    name = "kernel.ostype"
    host.act("settings", name, "not.there")
    assert host.brought()["settings"] == {name: "Linux"}
    record = json.loads(host.record.read_text())
    host.record.write_text(json.dumps(record | {"settings": {name: "before"}}))
    host.act("settings", name)
    assert host.brought()["settings"] == {name: "before"}


@pytest.mark.parametrize("action", ["note", "settings"])
def test_a_check_writes_no_record(host: Host, action: str) -> None:
    host.act(action, "kernel.ostype", check=True)
    assert not host.record.exists()


def test_nothing_is_started_where_nothing_came(host: Host) -> None:
    answer = host.act("start")
    assert (answer["changed"], answer["started"]) == (False, [])


def test_a_check_says_what_it_would_start(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.act("note", "fail2ban")
    unit = {"Id": "fail2ban.service", "UnitFileState": "enabled", "ActiveState": "inactive", "Type": "simple"}
    unit |= {"ConditionTimestampMonotonic": "0", "ConditionResult": "no"}
    monkeypatch.setattr(host.module, "came", lambda _: ["fail2ban"])
    monkeypatch.setattr(host.module, "units", lambda _: ["fail2ban.service"])
    monkeypatch.setattr(host.module, "shown", lambda _: [unit])
    answer = host.act("start", check=True)
    assert (answer["changed"], answer["started"]) == (True, ["fail2ban.service"])
