"""What preflight sees of a host; tests/roles/test_places.py has its places."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from modules import run_module

SOCKETS = """\
tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))
tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=1,fd=4))
tcp LISTEN 0 511 127.0.0.1:80 0.0.0.0:* users:(("nginx",pid=7,fd=6),("nginx",pid=6,fd=6))
udp UNCONN 0 0 *:8125 *:* users:(("graphing",pid=9,fd=3),("systemd",pid=1,fd=40))
udp UNCONN 0 0 127.0.0.1%lo:53 0.0.0.0:*
"""
PACKAGES = "ii chrony\nrc nginx-light\nun ntpsec\nii python3-venv\n"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host's ss and dpkg-query."""
    for name, text in (("ss", SOCKETS), ("dpkg-query", PACKAGES)):
        (tmp_path / name).write_text(f"#!/bin/sh\ncat <<'END'\n{text}END\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.usefixtures("tools")
@pytest.mark.parametrize("check", [False, True])
def test_listeners_packages_and_places_are_told(
    load: Callable[[str], ModuleType], capsys: pytest.CaptureFixture[str], check: bool
) -> None:
    module = load("plugins/modules/host_probe.py")
    answer = run_module(module, capsys, check, packages=["chrony", "ntpsec"], places=["/proc/x"])
    assert answer["changed"] is False
    host = answer["host"]
    assert host["packages"] == ["chrony", "python3-venv"]
    assert host["places"]["/proc/x"]["mount"] == "/proc"
    assert host["listeners"] == [
        {"proto": "tcp", "port": 22, "processes": ["sshd"]},
        {"proto": "tcp", "port": 80, "processes": ["nginx"]},
        {"proto": "udp", "port": 53, "processes": []},
        {"proto": "udp", "port": 8125, "processes": ["graphing", "systemd"]},
    ]
