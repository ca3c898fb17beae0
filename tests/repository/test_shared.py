"""Ports that tests choose, and waiting for what a program does (tests/shared)."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ports
import programs
import pytest
from ports import outside_connections, reserve_port
from programs import Program, wait_for


@contextlib.contextmanager
def held(kind: str, port: int) -> Iterator[None]:
    """A port in use in one of the ways that make it useless for another."""
    with contextlib.ExitStack() as stack:
        if kind == "UDP":
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).bind(("127.0.0.1", port))
        elif kind == "listening":
            stack.enter_context(socket.create_server(("127.0.0.1", port)))
        else:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            stack.enter_context(socket.create_connection(listening.getsockname(), source_address=("127.0.0.1", port)))
        yield


@pytest.mark.parametrize("kind", ["UDP", "listening", "connected"])
def test_a_port_that_is_free_for_one_of_tcp_and_udp_alone_is_not_chosen(kind: str) -> None:
    busy, free = reserve_port(), reserve_port()
    for claim in ports._claims[-2:]:
        claim.close()
    with held(kind, busy):
        assert reserve_port([busy, free]) == free
        with pytest.raises(OSError, match="no port is left"):
            reserve_port([busy, free])


def test_no_connection_is_given_a_port_that_was_chosen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        given = listening.getsockname()[1]
    assert given not in outside_connections()
    assert reserve_port() in outside_connections()


def test_two_processes_are_never_given_the_same() -> None:
    among = [reserve_port(), reserve_port()]
    for claim in ports._claims[-2:]:
        claim.close()
    choose = f"from ports import reserve_port; print(reserve_port({among}), flush=True); input()"
    with contextlib.ExitStack() as stack:
        chosen = []
        for _ in among:
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", choose],
                    cwd=Path(ports.__file__).parent,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            assert process.stdout
            chosen.append(int(process.stdout.readline()))
        assert sorted(chosen) == sorted(among)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "DEADLINE", 0.05)


def test_a_wait_ends_with_the_program_and_tells_what_it_said(tmp_path: Path) -> None:
    program = Program([sys.executable, "-c", "raise SystemExit('the port is taken')"], tmp_path / "log")
    with pytest.raises(AssertionError, match=r"has ended with 1, and said:\nthe port is taken"):
        wait_for(lambda: False, "the start")
    program.kill()


def test_a_program_that_the_test_has_ended_fails_no_wait(tmp_path: Path) -> None:
    idle = [sys.executable, "-c", "input()"]
    Program(idle, tmp_path / "log", stdin=subprocess.PIPE).stop(9)
    Program(idle, tmp_path / "log", stdin=subprocess.PIPE).kill()
    turns = iter([0, 0, 5])
    assert wait_for(lambda: next(turns), "the third turn") == 5


@pytest.mark.usefixtures("quick")
def test_a_wait_ends_at_its_deadline_and_says_for_what() -> None:
    with pytest.raises(AssertionError, match=r"waited 0\.05 s in vain for the sun"):
        wait_for(lambda: 0, "the sun")
    with pytest.raises(AssertionError, match=r"waited 0\.05 s in vain for \[1\]"):
        wait_for(lambda: 0, lambda: [1])
