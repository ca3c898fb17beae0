"""carbon's configuration and its caches, asked over a real socket by the protocol of its query port."""

import os
import pickle
import socket
import struct
import threading
import time

import pytest
import whisper
from ports import reserve_port
from store_support import create, layout

from graphing.store import StoreError
from graphing.store import carbon as module
from graphing.store.carbon import CarbonConfig

OWN = layout((10, 360))


class CacheClient:
    """Answers as carbon's CacheManagementHandler does."""

    def __init__(self, points=None, raw=None, forgetful=False):
        self.forgetful = forgetful
        self.points = points or {}
        self.raw = raw
        self.asked = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(peer,), daemon=True).start()

    def _answer(self, peer):
        with peer:
            while head := peer.recv(4, socket.MSG_WAITALL):
                request = pickle.loads(peer.recv(struct.unpack("!L", head)[0], socket.MSG_WAITALL))
                assert request["type"] == "cache-query-bulk"
                self.asked.append(request["metrics"])
                found = {name: list(self.points.get(name, {}).items()) for name in request["metrics"]}
                answer = self.raw or pickle.dumps({"datapointsByMetric": found}, protocol=2)
                peer.sendall(struct.pack("!L", len(answer)) + answer)
                if self.forgetful:
                    return


@pytest.fixture
def configured(tmp_path):
    def configured(say=lambda _: None, line_port=None, **ports):
        lines = ["[cache]", f"LOCAL_DATA_DIR = {tmp_path}/whisper/", "WHISPER_LOCK_WRITES = True", ""]
        for name, port in ports.items():
            lines += [f"[cache:{name}]", f"CACHE_QUERY_PORT = {port}", ""]
            lines += [f"LINE_RECEIVER_PORT = {line_port}", ""] if line_port else []
        (tmp_path / "carbon.conf").write_text("\n".join(lines))
        return CarbonConfig(tmp_path, say)

    return configured


class Writer:
    """Takes lines as carbon does, and writes each to its file."""

    def __init__(self, root):
        self.lines = []
        self._root = root
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            peer, _ = self._listener.accept()
            with peer:
                line = peer.makefile().readline()
            name, value, stamp = line.split()
            path = self._root.joinpath(*name.split(".")).with_suffix(".wsp")
            if not path.exists():
                create(path, OWN)
            whisper.update(str(path), float(value), int(stamp))
            self.lines.append(line)


def test_points_in_any_cache_are_waiting(configured):
    one, other = CacheClient({"a": {10: 1.0}}), CacheClient({"b": {10: 2.0}})
    assert configured(a=one.port, b=other.port).waiting(["a", "b", "c"]) == {"a", "b"}


def test_many_names_are_asked_in_pieces(configured):
    cache = CacheClient({"s2500": {10: 1.0}})
    assert configured(a=cache.port).waiting(f"s{n}" for n in range(3000)) == {"s2500"}
    assert [len(asked) for asked in cache.asked] == [1000, 1000, 1000]


def test_a_cache_that_was_started_anew_is_asked_again(configured):
    carbon = configured(a=CacheClient({"a": {10: 1.0}}, forgetful=True).port)
    assert [carbon.waiting(["a", "b"]) for _ in range(3)] == [{"a"}] * 3


def test_a_cache_has_settled_when_it_is_empty_and_has_written_something_since(configured, tmp_path):
    cache = CacheClient({"a": {10: 1.0}})
    own = tmp_path / "whisper/carbon/agents/host-a/cache/size.wsp"
    create(own, OWN)
    settled = []
    thread = threading.Thread(target=lambda: settled.append(configured(a=cache.port).settle(["a"])))
    thread.start()
    while len(cache.asked) < 2:
        assert thread.is_alive()
    cache.points.clear()
    while cache.asked[-1:] != [["a"]] or len(cache.asked) < 3:
        assert thread.is_alive()
    assert settled == []
    while thread.is_alive():
        create(own.with_name(f"{time.time_ns()}.wsp"), OWN)
    assert settled == [set()]


def test_a_settled_cache_is_not_waited_for_until_its_next_interval(configured, tmp_path):
    """One of its own metrics is sent to it; none of the others is written here."""
    writer = Writer(tmp_path / "whisper")
    carbon = configured(a=CacheClient().port, line_port=writer.port)
    assert carbon.settle(["x"]) == set()
    name, _, stamp = writer.lines[0].split()
    assert name == f"carbon.agents.{socket.gethostname().replace('.', '_')}-a.settled"
    assert abs(int(stamp) - time.time()) < 30
    first = len(writer.lines)
    assert carbon.settle(["x"]) == set()
    assert len(writer.lines) > first, "what was written before the second time proves nothing"


def test_a_cache_that_takes_no_points_is_not_waited_for(configured):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(StoreError, match=f"a accepts no points on 127.0.0.1 port {port} .*graphing doctor"):
        configured(a=CacheClient().port, line_port=port).settle(["a"])


def test_a_wait_says_what_it_is_for_and_how_long_at_most(configured, monkeypatch):
    said = []
    monkeypatch.setattr(module, "_QUIET", 0.0)
    monkeypatch.setattr(module, "DEADLINE", 0.7)
    assert configured(said.append, a=CacheClient({"a": {10: 1.0}}).port).settle(["a", "b"]) == {"a"}
    assert said == ["waiting until carbon has written what it holds of 1 series, at most 1 s"]
    with pytest.raises(StoreError):
        configured(said.append, a=CacheClient().port).settle(["a"])
    assert said[1] == "waiting until carbon-cache a has written what it took out of its memory, at most 1 s"


def test_who_sends_again_is_seen_and_nobody_is_waited_for_no_longer_than_is_said(configured):
    said, cache = [], CacheClient()
    carbon = configured(a=cache.port, say=said.append)
    looks = []

    def look():
        looks.append(len(looks))
        if len(looks) == 3:
            cache.points["old"] = {10: 1.0}
        return carbon.waiting(["old"])

    assert carbon.watch(look, 60) == {"old"}
    assert len(looks) == 3
    assert said == ["watching for 60 s whether points still come"]
    cache.points.clear()
    assert carbon.watch(lambda: carbon.waiting(["old"]), 0.3) == set()


def test_a_cache_that_gets_points_all_the_time_is_told(configured, monkeypatch):
    monkeypatch.setattr(module, "DEADLINE", 0.1)
    assert configured(a=CacheClient({"a": {10: 1.0}}).port).settle(["a", "b"]) == {"a"}


def test_a_cache_that_writes_nothing_is_named(configured, monkeypatch):
    monkeypatch.setattr(module, "DEADLINE", 0.1)
    with pytest.raises(StoreError, match="carbon-cache a has written none of its own metrics"):
        configured(a=CacheClient().port).settle(["a"])


@pytest.mark.parametrize("raw", [b"nonsense", pickle.dumps([1])])
def test_an_answer_that_is_none_is_refused(configured, raw):
    with pytest.raises(StoreError, match="carbon-cache a"):
        configured(a=CacheClient(raw=raw).port).waiting(["a"])


class Trap:
    """Makes a directory when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_an_answer_calls_nothing(configured, tmp_path):
    with pytest.raises(StoreError, match=r"mkdir is no plain value"):
        configured(a=CacheClient(raw=pickle.dumps(Trap(tmp_path / "made"))).port).waiting(["a"])
    assert not (tmp_path / "made").exists()


def test_a_cache_that_is_down_is_named(configured):
    port = reserve_port()
    with pytest.raises(StoreError, match=f"carbon-cache a does not answer on 127.0.0.1 port {port}"):
        configured(a=port).waiting(["a"])


def test_files_are_only_touched_if_carbon_locks_them(configured, tmp_path):
    configured(a=1).check_locks()
    (tmp_path / "carbon.conf").write_text("[cache]\nWHISPER_LOCK_WRITES = False\n")
    with pytest.raises(StoreError, match=r"carbon\.conf: WHISPER_LOCK_WRITES is not True.*site\.yml"):
        CarbonConfig(tmp_path).check_locks()
    with pytest.raises(StoreError, match="has no LOCAL_DATA_DIR"):
        _ = CarbonConfig(tmp_path).root


def test_a_configuration_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"carbon\.conf: No such file"):
        CarbonConfig(tmp_path)
