"""What the checks read of carbon: whisper's files, and the points in a cache's memory."""

import os
import pickle
import socket
import struct
import threading

import pytest
from ports import reserve_port

from graphing.carboncache import query
from graphing.carboncache.query import NoAnswer
from graphing.checks import carbon
from graphing.whisperfile.slots import NotWhisper, file_of, newest

STEP, POINTS = 10, 360
NOW = 1_800_000_005


def write(path, points, base=None):
    """A whisper file with a fine and a coarse archive, as whisper lays it out."""
    archives = [(STEP, POINTS), (60, 100)]
    offset = 16 + 12 * len(archives)
    head = struct.pack(">LLfL", 1, 6000, 0.0, len(archives))
    ring = [(0, 0.0)] * POINTS
    base = base if base is not None else min(points, default=0)
    for stamp, value in points.items():
        ring[(stamp - base) // STEP % POINTS] = (stamp, value)
    for step, count in archives:
        head += struct.pack(">LLL", offset, step, count)
        offset += 12 * count
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"".join(struct.pack(">Ld", *point) for point in ring) + b"\0" * 1200)
    return path


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a" / "b.wsp"


def test_a_series_has_its_file(tmp_path, file):
    assert file_of(tmp_path, "a.b") == file


@pytest.mark.parametrize("first", [NOW - 5, NOW - 65, NOW - 5 - STEP * POINTS * 3 - 70])
def test_the_newest_points_are_read_wherever_the_ring_began(file, first):
    points = {NOW - 5 - 10 * n: 0.5 + n for n in range(4)}
    write(file, points, base=first)
    if first not in points:
        # The first slot's time is that of its newest point.
        with file.open("r+b") as out:
            out.seek(40)
            if struct.unpack(">L", out.read(4))[0] == 0:
                out.seek(40)
                out.write(struct.pack(">Ld", first, 1.0))
    assert newest(file, NOW - 25, NOW) == {NOW - 5: 0.5, NOW - 15: 1.5, NOW - 25: 2.5}


def test_points_of_an_earlier_round_are_not_new(file):
    write(file, {NOW - 5 - STEP * POINTS: 7.0})
    assert newest(file, NOW - 60, NOW) == {}


def test_a_file_that_was_never_written_is_empty(file):
    assert newest(write(file, {}), NOW - 60, NOW) == {}


@pytest.mark.parametrize("size", [0, 10, 30, 45])
def test_a_file_cut_short_is_none(file, size):
    write(file, {NOW - 5: 1.0})
    os.truncate(file, size)
    with pytest.raises(NotWhisper, match=r"b\.wsp is no whole whisper file"):
        newest(file, NOW - 60, NOW)


def test_a_longer_time_than_the_ring_is_read_once(file):
    points = {NOW - 5 - 10 * n: float(n) for n in range(POINTS)}
    assert newest(write(file, points), 0, NOW) == points


def test_a_missing_file_is_named(file):
    with pytest.raises(FileNotFoundError):
        newest(file, 0, NOW)


def test_a_caches_own_counts_come_from_its_files_and_its_memory(tmp_path):
    names = carbon.series("a")
    write(file_of(tmp_path, names[0]), {NOW - 15: 10.0})
    cached = {names[0]: {NOW - 5.5: 20.0, NOW - 4000.0: 5.0}, names[1]: {NOW - 5.5: 3.0}}
    counts = carbon.measure("a", tmp_path, cached, NOW)
    assert counts.sizes == {NOW - 15: 10.0, NOW - 5.5: 20.0}
    assert counts.overflows == {NOW - 5.5: 3.0}
    assert counts.dropped_creates == {}


# The cache's memory


class Peer:
    """Answers one request with what it is given, a function of the request or bytes; closes then."""

    def __init__(self, answer):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        peer, _ = self._listener.accept()
        with peer:
            (length,) = struct.unpack(">L", peer.recv(4, socket.MSG_WAITALL))
            request = pickle.loads(peer.recv(length, socket.MSG_WAITALL))
            answer = self._answer(request) if callable(self._answer) else self._answer
            peer.sendall(answer)
        self._listener.close()


def framed(content):
    data = pickle.dumps(content, protocol=2)
    return struct.pack(">L", len(data)) + data


def test_a_cache_is_asked_as_graphite_web_asks():
    held = {"a": [(NOW - 5, 1.5), (NOW, 2)], "b": []}

    def answer(request):
        assert request["type"] == "cache-query-bulk"
        return framed({"datapointsByMetric": {name: held[name] for name in request["metrics"]}})

    assert query.ask(Peer(answer).port, ["a", "b"]) == {"a": {NOW - 5.0: 1.5, NOW: 2.0}, "b": {}}


class Evil:
    def __reduce__(self):
        return (os.mkdir, ("/tmp/was-here-of-graphing-tests",))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\0\0",
        b"\0\0\0\x10short",
        b"\xff\xff\xff\xffxxxx",
        b"\0\0\0\4abcd",
        framed([1, 2]),
        framed({"error": "no"}),
        framed({"datapointsByMetric": {"a": [("x", None)]}}),
        framed(Evil()),
    ],
)
def test_what_is_no_carbon_cache_is_told_apart(answer):
    with pytest.raises(NoAnswer):
        query.ask(Peer(answer).port, ["a"])
    assert not os.path.exists("/tmp/was-here-of-graphing-tests")


def test_a_cache_that_is_not_there_is_named():
    port = reserve_port()
    with pytest.raises(NoAnswer, match=f"port {port}: Connection refused"):
        query.ask(port, ["a"])
