"""Asks a carbon-cache for the points that it has not written yet, by the protocol that graphite-web uses.

A request and its answer are pickles, each behind its length in four bytes (carbon.protocols.CacheManagementHandler). An
answer is only read if it is made of plain values: a pickle could otherwise run code.
"""

import contextlib
import io
import pickle
import socket
import struct
from collections.abc import Sequence

_LENGTH = struct.Struct(">L")
LONGEST_ANSWER = 256 * 1024 * 1024
"""Bytes that an answer has at most: a thousand series after an hour without a disk have fewer."""
_AT_ONCE = 1 << 20


class NoAnswer(OSError):  # noqa: N818 - what is missing
    """The cache can't be asked; `str()` says why."""


class _PlainValues(pickle.Unpickler):
    """Reads numbers, texts, lists and dictionaries: no pickle makes it call anything."""

    def find_class(self, module: str, name: str, /) -> object:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


class CacheClient:
    """The query port of one carbon-cache, asked over one connection, as carbon logs each."""

    def __init__(self, port: int, host: str = "127.0.0.1", timeout: float = 3.0) -> None:
        self._address = (host, port)
        self._timeout = timeout
        self._connection: socket.socket | None = None

    def points(self, series: Sequence[str]) -> dict[str, dict[float, float]]:
        """Return {series: {time: value}} of what the cache holds of them; raise NoAnswer if it can't be had."""
        request = pickle.dumps({"type": "cache-query-bulk", "metrics": list(series)}, protocol=2)
        try:
            answer = _PlainValues(io.BytesIO(self._exchange(request))).load()
            return {
                str(name): {float(stamp): float(value) for stamp, value in points}
                for name, points in answer["datapointsByMetric"].items()
            }
        except NoAnswer:
            raise
        except Exception as error:
            # A pickle that is damaged, or not one, can raise anything.
            raise self._stranger(error) from error

    def close(self) -> None:
        """Leave the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(self, request: bytes) -> bytes:
        if self._connection is not None:
            # It may be one of before, to a cache that has been started anew since.
            with contextlib.suppress(OSError):
                return self._exchange_once(self._connection, request)
            self.close()
        try:
            self._connection = socket.create_connection(self._address, self._timeout)
            return self._exchange_once(self._connection, request)
        except NoAnswer:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise NoAnswer(f"port {self._address[1]}: {error.strerror or error}") from error

    def _exchange_once(self, connection: socket.socket, request: bytes) -> bytes:
        connection.sendall(_LENGTH.pack(len(request)) + request)
        (length,) = _LENGTH.unpack(_receive(connection, _LENGTH.size))
        if length > LONGEST_ANSWER:
            raise self._stranger()
        return _receive(connection, length)

    def _stranger(self, error: Exception | None = None) -> NoAnswer:
        why = f": {error}" if error else ""
        return NoAnswer(f"port {self._address[1]} answers what no carbon-cache would{why}")


def ask(port: int, series: Sequence[str], host: str = "127.0.0.1") -> dict[str, dict[float, float]]:
    """Ask a cache once; see `CacheClient.points`."""
    cache = CacheClient(port, host)
    try:
        return cache.points(series)
    finally:
        cache.close()


def _receive(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(size - len(data), _AT_ONCE))
        if not part:
            raise OSError("it closed the connection")
        data += part
    return bytes(data)
