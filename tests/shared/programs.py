"""Processes that a test starts, and waiting that ends as soon as one of them has."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest

DEADLINE = 60.0
"""Seconds. A wait ends as soon as its condition holds, so this is for a machine that is very busy."""

_SHOWN = 4000

_T = TypeVar("_T")


class Program:
    """A process whose output goes to a file. Unless the test ends it, its end fails whoever waits."""

    started: ClassVar[list["Program"]] = []

    def __init__(self, command: Sequence[str], log: Path, **options: Any) -> None:
        """Start it; `options` are those of Popen."""
        self.command, self.log = list(command), log
        self._may_end = False
        with log.open("a") as output:
            self.process = subprocess.Popen(command, stdout=output, stderr=output, **options)
        self.started.append(self)

    def text(self) -> str:
        """Return what it has said, and those before it that had the same file."""
        return self.log.read_text() if self.log.exists() else ""

    def check(self) -> None:
        """Fail if it has ended by itself."""
        if not self._may_end and self.process.poll() is not None:
            said = self.text()[-_SHOWN:]
            raise AssertionError(f"{self.command} has ended with {self.process.returncode}, and said:\n{said}")

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal, and wait for the end that belongs to it."""
        self._may_end = True
        self.process.send_signal(number)
        wanted = 0 if number in (signal.SIGTERM, signal.SIGINT) else -number
        assert self.process.wait(DEADLINE) == wanted, self.text()[-_SHOWN:]

    def kill(self) -> None:
        """End it, however it is."""
        self._may_end = True
        self.process.kill()
        self.process.wait()


def wait_for(condition: Callable[[], _T], what: str | Callable[[], object]) -> _T:
    """Return the first true value of `condition()`; fail at the deadline, or when a program has ended by itself."""
    end = time.monotonic() + DEADLINE
    while not (result := condition()):
        for program in Program.started:
            program.check()
        if time.monotonic() > end:
            raise AssertionError(f"waited {DEADLINE} s in vain for {what() if callable(what) else what}")
        time.sleep(0.01)
    return result


@pytest.fixture(autouse=True)
def no_program_outlives_its_test() -> Iterator[None]:
    """End what the test has started; pytest shows what that has said if the test fails."""
    before = len(Program.started)
    yield
    own = Program.started[before:]
    del Program.started[before:]
    for program in own:
        program.kill()
    for log in dict.fromkeys(program.log for program in own):
        print(log.read_text() if log.exists() else "")
