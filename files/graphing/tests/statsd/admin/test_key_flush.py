"""The log of the busiest names."""

import logging
import os
import re

import pytest

from graphing.statsd.admin import key_flush as module
from graphing.statsd.admin.key_flush import KeyFlush
from graphing.statsd.settings import KeyFlushSection as Settings

# As etsy/statsd 0.9.0 wrote it; its time zone's long name is JavaScript's.
ETSY = "Sat Nov 21 2026 14:02:26 GMT+0000 (Coordinated Universal Time) count=2 key=web.hits"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Flushed:
    def __init__(self, **settings):
        self.clock = Clock()
        self.key_flush = KeyFlush(Settings(interval=10, **settings), self.clock)

    def report(self, *blobs):
        """Count, and let the interval end."""
        for blob in blobs:
            self.key_flush.count(blob)
        self.clock.now += 10
        for _ in range(5):
            self.key_flush.turn()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.log"


def shown(path):
    """Return (count, name) of each line."""
    return [(int(count), name) for count, name in re.findall(r" count=(\d+) key=(.*)\n", path.read_text())]


def test_the_busiest_come_first(path):
    flushed = Flushed(file=str(path))
    flushed.report(b"a:1|c\nb:1|c\nb:2|c", memoryview(b"c:1|ms\nb:5|g\nc:1|ms\n"))
    assert shown(path) == [(3, "b"), (2, "c"), (1, "a")]


def test_the_format_is_that_of_etsy(path, monkeypatch):
    form = r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d{2} \d{4} \d{2}:\d{2}:\d{2} GMT[+-]\d{4} \(.+\) count=\d+ key=\S+"
    assert re.fullmatch(form, ETSY)
    Flushed(file=str(path)).report(b"web.hits:1|c\nweb.hits:2|c")
    assert re.fullmatch(form, path.read_text().removesuffix("\n"))


@pytest.mark.parametrize(("percent", "names"), [(100, 4), (75, 3), (50, 2), (26, 2), (25, 1), (0.1, 1)])
def test_percent_is_of_the_names_rounded_up(path, percent, names):
    Flushed(file=str(path), percent=percent).report(b"a:1|c\nb:1|c\nc:1|c\nd:1|c")
    assert shown(path) == [(1, name) for name in "abcd"[:names]]


def test_each_interval_stands_for_itself_and_is_appended(path):
    flushed = Flushed(file=str(path))
    flushed.report(b"a:1|c")
    flushed.report()
    flushed.report(b"b:1|c")
    assert shown(path) == [(1, "a"), (1, "b")]


def test_nothing_is_written_before_the_interval_ends(path):
    flushed = Flushed(file=str(path))
    flushed.key_flush.count(b"a:1|c")
    flushed.clock.now += 9.9
    flushed.key_flush.turn()
    assert not path.exists()
    flushed.clock.now += 0.2
    flushed.key_flush.turn()
    assert shown(path) == [(1, "a")]


def test_a_suspended_daemon_does_not_catch_up(path):
    flushed = Flushed(file=str(path))
    flushed.clock.now = 1000
    flushed.report(b"a:1|c")
    flushed.key_flush.count(b"b:1|c")
    flushed.clock.now += 5
    flushed.key_flush.turn()
    assert shown(path) == [(1, "a")]


def test_without_a_file_it_goes_to_the_log(caplog):
    with caplog.at_level(logging.INFO):
        Flushed().report(b"a:1|c\nb:1|c\na:1|c")
    assert caplog.messages == ["count=2 key=a\ncount=1 key=b"]


def test_names_are_made_legal_as_etsy_does(path):
    blob = b"a b/c:1|c\nx\x1b[2J\x00\r\x9by:1|c\nt;region=eu:1|c\ninflux,region=eu:1|c\ninflux:1|c\n%s:1\n\xff:1|c" % (
        b"l" * 999
    )
    Flushed(file=str(path)).report(blob)
    assert shown(path) == [(2, "influx"), (1, "a_b-c"), (1, "x2J_y"), (1, "t;region=eu"), (1, "l" * 255)]
    assert path.read_text().replace("\n", "").isprintable()


def test_lines_without_a_value_count_and_empty_ones_do_not(path):
    Flushed(file=str(path)).report(b"broken\n\n:1|c\n\nbroken")
    assert shown(path) == [(2, "broken")]


def test_what_goes_beyond_the_names_that_fit_is_counted_together(path, monkeypatch):
    monkeypatch.setattr(module, "_NAMES", 3)
    flushed = Flushed(file=str(path), percent=50)
    flushed.report(b"\n".join(b"n%d:1|c" % number for number in range(10)) + b"\nn0:1|c\nn9:1|c")
    assert shown(path) == [(2, "n0"), (1, "n1"), (8, "(others)")]
    path.unlink()
    flushed.report(b"x:1|c")
    assert shown(path) == [(1, "x")]


def test_batches_of_any_size_add_up(path):
    flushed = Flushed(file=str(path))
    blob = b"a:1|c\nb:1|c\n" * 50_000
    flushed.report(blob, blob[:600], b"a:1|c")
    assert shown(path) == [(100_000 // 2 + 51, "a"), (50_050, "b")]


def test_a_long_report_is_written_over_several_turns(path):
    flushed = Flushed(file=str(path))
    flushed.key_flush.count(b"\n".join(b"n%d:1|c" % number for number in range(1_200)))
    flushed.clock.now += 10
    lines = []
    for _ in range(5):
        flushed.key_flush.turn()
        lines.append(len(shown(path)))
    assert lines == [500, 1_000, 1_200, 1_200, 1_200]


def test_a_file_that_can_not_be_written_is_named_once_and_harms_nothing(tmp_path, caplog):
    flushed = Flushed(file=str(tmp_path / "missing" / "keys.log"))
    for _ in range(3):
        flushed.report(b"a:1|c")
    assert len(caplog.messages) == 1
    assert "missing/keys.log can't be written: No such file or directory" in caplog.text
    (tmp_path / "missing").mkdir()
    flushed.report(b"b:1|c")
    assert shown(tmp_path / "missing" / "keys.log") == [(1, "b")]


def test_a_fifo_that_nobody_reads_is_not_waited_for(path, caplog):
    os.mkfifo(path)
    Flushed(file=str(path)).report(b"a:1|c")
    assert "can't be written" in caplog.text


def test_interval_0_is_never(path):
    clock = Clock()
    key_flush = KeyFlush(Settings(interval=0, file=str(path)), clock)
    key_flush.count(b"a:1|c")
    clock.now += 1e9
    key_flush.turn()
    assert not path.exists()
