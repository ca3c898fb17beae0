"""Asks a carbon-cache for the points that it has not written yet, by the protocol that graphite-web uses.

A request and its answer are pickles, each behind its length in four bytes. An answer is only read if it is
made of plain values: a pickle could otherwise run code.
"""

import io
import pickle
import socket
import struct
from collections.abc import Sequence

_TIMEOUT = 3.0
_LENGTH = struct.Struct(">L")
_LONGEST = 4 * 1024 * 1024


class NoAnswer(OSError):  # noqa: N818 - what is missing
    """The cache can't be asked; `str()` says why."""


class _PlainValues(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        raise pickle.UnpicklingError(f"{module}.{name} is no plain value")


def ask(port: int, series: Sequence[str], host: str = "127.0.0.1") -> dict[str, dict[float, float]]:
    """Return {series: {time: value}} of what the cache holds of them; raise NoAnswer if it can't be had."""
    request = pickle.dumps({"type": "cache-query-bulk", "metrics": list(series)}, protocol=2)
    try:
        with socket.create_connection((host, port), _TIMEOUT) as cache:
            cache.sendall(_LENGTH.pack(len(request)) + request)
            (length,) = _LENGTH.unpack(_exactly(cache, _LENGTH.size))
            if length > _LONGEST:
                raise NoAnswer(f"port {port} answers what no carbon-cache would")
            answer = _PlainValues(io.BytesIO(_exactly(cache, length))).load()
        return {
            str(name): {float(stamp): float(value) for stamp, value in points}
            for name, points in answer["datapointsByMetric"].items()
        }
    except NoAnswer:
        raise
    except OSError as error:
        raise NoAnswer(f"port {port}: {error.strerror or error}") from error
    except Exception as error:
        # A pickle that is damaged, or not one, can raise anything.
        raise NoAnswer(f"port {port} answers what no carbon-cache would: {error}") from error


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise NoAnswer("it closed the connection")
        data += part
    return bytes(data)
