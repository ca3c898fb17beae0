"""Series with tags, as graphite-web's database knows them: their names, and how it forgets one.

Asked over the socket of the web application, which only its user and root can open: nginx lets nobody write there.
"""

import http.client
import json
import socket
import urllib.parse
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from graphing.store import StoreError
from graphing.store.names import name_of, path_of

_TIMEOUT = 120.0


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_TIMEOUT)
        self.sock.connect(str(self._path))


class TagDatabase:
    """graphite-web behind a Unix socket. Methods raise StoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def names(self) -> list[str]:
        """All series that have tags, as `name;tag=value`."""
        answer = self._ask("GET", "/tags/findSeries?" + urllib.parse.urlencode({"expr": "name=~.+"}))
        return [str(name) for name in answer]

    def forget(self, name: str) -> None:
        """Remove a series from the database."""
        self._ask("POST", "/tags/delSeries", {"path": name})

    def _ask(self, method: str, url: str, form: dict[str, str] | None = None) -> Any:
        connection = _OverSocket(self._path)
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
            connection.request(method, url, urllib.parse.urlencode(form or {}) or None, headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status != http.HTTPStatus.OK:
                raise StoreError(
                    f"graphite-web answered {method} {url.partition('?')[0]} with status {answer.status}: "
                    "see journalctl -u graphite-web"
                )
            return json.loads(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise StoreError(
                f"graphite-web does not answer on {self._path} ({error}), and it alone knows the names of series with "
                "tags: systemctl start graphite-web.socket, then run this again"
            ) from error
        finally:
            connection.close()


class Catalogue:
    """Which series lies at a path; graphite-web is asked once, for the first one that its path does not tell."""

    def __init__(self, database: TagDatabase | None) -> None:
        self.database = database

    def name(self, path: PurePosixPath) -> str | None:
        """The series at a path relative to the tree; None if nobody knows it."""
        return name_of(path) or self._hashed.get(path)

    @cached_property
    def _hashed(self) -> dict[PurePosixPath, str]:
        return {path_of(name): name for name in self.database.names()} if self.database else {}
