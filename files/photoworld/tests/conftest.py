"""A StatsD that listens for real, a forum that reports to it, and somebody who clicks through its pages."""

import os
import queue
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import patient  # noqa: F401 - for its profile of Hypothesis
import pytest
from flask import Flask
from flask.testing import FlaskClient
from programs import DEADLINE, no_program_outlives_its_test, wait_for
from werkzeug.test import TestResponse

from photoworld.app import create_app
from photoworld.settings import Settings

__all__ = ["no_program_outlives_its_test"]

# The processes that the tests start find the package where the tests do.
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1] / "src")


class StatsD:
    """A UDP socket that remembers every line it was sent; a thread reads it, so that the kernel has room for all."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * 1024 * 1024)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.lines: list[str] = []
        self._arrived: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._receive, daemon=True)
        self._reader.start()

    def _receive(self) -> None:
        while (datagram := self._socket.recv(65536).decode("ascii")) != "end":
            self._arrived.put(datagram)

    def read(self) -> list[str]:
        """Return the lines that arrived since the last call: all that were sent before a mark of our own."""
        self._send("mark")
        new: list[str] = []
        while (datagram := self._arrived.get(timeout=DEADLINE)) != "mark":
            new += datagram.split("\n")
        self.lines += new
        return new

    def wait_for(self, wanted: str) -> None:
        """Return as soon as this line has arrived."""
        wait_for(lambda: wanted in self.lines or wanted in self.read(), wanted)

    def close(self) -> None:
        self._send("end")
        self._reader.join()
        self._socket.close()

    def _send(self, word: str) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
            own.sendto(word.encode(), ("127.0.0.1", self.port))


class Person:
    """Clicks through the forum, and fills in its forms as a browser would."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, path: str) -> TestResponse:
        return self.client.get(path)

    def token(self, path: str) -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(path).text)
        assert found, f"{path} has no form"
        return found[1]

    def send(self, path: str, page: str = "", **fields: str) -> TestResponse:
        """Send the form that stands on a page (by default the page it is sent to)."""
        return self.client.post(path, data={"csrf_token": self.token(page or path), **fields})

    def sign_up(self, name: str = "ada", password: str = "correct horse") -> TestResponse:
        return self.send("/signup", name=name, password=password)

    def log_in(self, name: str = "ada", password: str = "correct horse") -> TestResponse:
        return self.send("/login", name=name, password=password)

    def log_out(self) -> TestResponse:
        return self.send("/logout", page="/")

    def start_thread(self, title: str = "Fog", body: str = "First light.") -> TestResponse:
        return self.send("/threads/new", title=title, body=body)

    def reply(self, thread: int = 1, body: str = "Nice.") -> TestResponse:
        return self.send(f"/threads/{thread}/reply", page=f"/threads/{thread}", body=body)


@pytest.fixture
def statsd() -> Iterator[StatsD]:
    server = StatsD()
    yield server
    server.close()


@pytest.fixture
def configuration(tmp_path: Path, statsd: StatsD) -> Settings:
    return Settings(secret_key="k" * 32, database=tmp_path / "forum.sqlite3", statsd_port=statsd.port)


@pytest.fixture
def app(configuration: Settings) -> Flask:
    return create_app(configuration)


@pytest.fixture
def person(app: Flask) -> Person:
    return Person(app)


@pytest.fixture
def new_person(app: Flask) -> Callable[..., Person]:
    """Make another person, who visits the same forum or, on request, another one."""
    return lambda other=app: Person(other)
