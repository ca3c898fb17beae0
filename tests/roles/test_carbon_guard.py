"""The guard of carbon-cache, as far as it needs no carbon; tests/faults tries it on a host with Debian's."""

import os
import re
from dataclasses import fields
from types import SimpleNamespace
from typing import NamedTuple

import pytest
import whisper
from carbon_guard import complaints, lines, versions
from carbon_guard.complaints import COMPLAINT_SECONDS, Complaints
from carbon_guard.counted import Counted
from carbon_guard.lines import Refused
from carbon_guard.whisper_files import create_whole, damage
from carbon_guard.whisper_layout import decode_layout

from graphing.checks import carbon as checks

ARCHIVES = [(10, 2160), (60, 10080), (600, 12960)]
NOW = 1_700_000_000
WEEK = 7 * 86400


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.wsp"
    whisper.create(str(path), ARCHIVES, sparse=True)
    return path


def test_a_line_is_name_value_and_time():
    assert lines.parse(b"stats.logins.count 3 1700000000\r") == ("stats.logins.count", NOW, 3)
    assert lines.parse(b"disk;host=a/b -1.5e3 -1") == ("disk;host=a/b", -1, -1500), "tags may hold slashes"
    assert lines.parse("disk;city=Köln 1 2".encode()).metric == "disk;city=Köln"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"a",
        b"a 1",
        b"a 1 2 3",
        b"a x 2",
        b"a 1 x",
        b"\xff 1 2",
        b"a nan 2",
        b"a inf 2",
        b"a 1 nan",
        b"a 1 inf",
        b"a\0b 1 2",
        b"a..b 1 2",
        b".a 1 2",
        b"a. 1 2",
        b"a/b 1 2",
        b"~a 1 2",
        "größe 1 2".encode(),
        b"a" * 252 + b" 1 2",
        b"a 1 2" + b" " * 20000,
    ],
)
def test_a_line_that_is_none_is_refused(line):
    with pytest.raises(Refused) as refused:
        lines.parse(line)
    assert refused.value.kind == "malformed"


IN_NAMES = "!#$%&+-:=@^_`~"


@pytest.mark.parametrize("byte", range(0x21, 0x7F))
def test_a_character_that_no_target_can_name_is_in_no_name(byte):
    character = chr(byte)
    line = f"a{character}b 1 2".encode()
    if character.isalnum() or character in IN_NAMES + ".;":
        assert lines.parse(line).metric == f"a{character}b"
    else:
        with pytest.raises(Refused, match=re.escape(f"{character} in a name")):
            lines.parse(line)


def test_tags_are_refused_where_they_are_off():
    lines.refuse_tags("stats.logins.count")
    with pytest.raises(Refused, match="carbon_tags: true") as refused:
        lines.refuse_tags("a;region=eu")
    assert refused.value.kind == "tagged"


class Series(NamedTuple):
    """As carbon's, which is not here."""

    path: str


@pytest.mark.parametrize("stored", [None, "a;region=eu", "b;host=x;region=eu"])
def test_tags_that_carbon_would_not_keep_are_refused_where_they_are_on(stored):
    def read(_metric):
        if stored is None:
            raise Exception("Cannot parse path")
        return Series(stored)

    with pytest.raises(Refused, match="Cannot parse" if stored is None else stored) as refused:
        lines.tags_by(read)("a;region=eu;host=x")
    assert refused.value.kind == "malformed"


def test_tags_are_kept_in_any_order_where_they_are_on():
    lines.tags_by(lambda _: Series("a;host=x;region=eu"))("a;region=eu;host=x")
    lines.tags_by(lambda _: None)("a.b")


@pytest.mark.parametrize("timestamp", [NOW, NOW + 60, NOW - WEEK + 1, -1])
def test_a_time_that_is_kept_is_taken(timestamp):
    lines.check_time(timestamp, NOW, 60, WEEK)


@pytest.mark.parametrize(
    ("timestamp", "kind"), [(NOW + 61, "future"), (1e300, "future"), (NOW - WEEK, "old"), (-2, "old")]
)
def test_a_time_that_nothing_keeps_is_refused(timestamp, kind):
    with pytest.raises(Refused) as refused:
        lines.check_time(timestamp, NOW, 60, WEEK)
    assert refused.value.kind == kind


def test_a_whole_file_is_whole(file):
    whisper.update(str(file), 5)
    assert damage(str(file)) is None
    assert decode_layout(file.read_bytes()).bytes == file.stat().st_size


@pytest.mark.parametrize("size", [0, 1, 15, 16, 40, 51, 52, 5000, -1])
def test_a_shortened_file_is_found(file, size):
    os.truncate(file, size if size >= 0 else file.stat().st_size - 1)
    assert damage(str(file))


@pytest.mark.parametrize("offset", [0, 4, 8, 12, 16, 20, 24])
def test_a_header_that_was_overwritten_is_found(file, offset):
    with file.open("r+b") as opened:
        opened.seek(offset)
        opened.write(b"\xff\xff\xff\xff")
    assert damage(str(file))


def test_a_header_of_zeros_is_found(file):
    with file.open("r+b") as opened:
        opened.write(bytes(64))
    assert damage(str(file))


def test_a_new_file_appears_whole(tmp_path):
    path, seen = tmp_path / "a.wsp", []

    def create(unfinished, *rest):
        seen.append(path.exists())
        whisper.create(unfinished, *rest)
        seen.append(path.exists())

    # What a process left that was killed while it made another one.
    (tmp_path / ".new-a").write_bytes(b"half")
    create_whole(create, ".new-a")(str(path), ARCHIVES, 0.5, "sum", True, False)
    assert seen == [False, False]
    assert damage(str(path)) is None
    assert whisper.info(str(path))["aggregationMethod"] == "sum"
    assert os.listdir(tmp_path) == ["a.wsp"]


def test_a_file_that_is_there_is_refused_as_ever(file):
    whisper.update(str(file), 5)
    before = file.read_bytes()
    with pytest.raises(whisper.InvalidConfiguration):
        create_whole(whisper.create, ".new-a")(str(file), ARCHIVES)
    assert file.read_bytes() == before


def test_the_same_is_not_said_again_at_once_but_counted(monkeypatch):
    said = []
    complain = Complaints(said.append)
    clock = [100.0]
    monkeypatch.setattr(complaints.time, "monotonic", lambda: clock[0])
    for _ in range(4):
        complain("disk", "full")
    complain("lost", "gone")
    assert said == ["guard: full", "guard: gone"]
    clock[0] += COMPLAINT_SECONDS
    complain("disk", "full")
    assert said[2:] == ["guard: full (and 3 more before)"]


def test_the_checks_know_every_reason_for_which_a_line_is_refused():
    told = [field.name for field in fields(Counted) if field.name.startswith("refused_")]
    assert told == [f"refused_{why}" for why in checks.REFUSED]


def made_like_carbon():
    """Carbon's modules, with functions that use what they are expected to use."""
    found = {}
    for module, name, used in versions.USED:
        code = compile(f"def made(x): return ({', '.join(f'x.{each}' for each in sorted(used))},)", "carbon", "exec")
        scope = {}
        exec(code, scope)
        *owners, last = name.split(".")
        place = found.setdefault(module, SimpleNamespace(__name__=f"carbon.{module}"))
        for owner in owners:
            place.__dict__.setdefault(owner, SimpleNamespace())
            place = getattr(place, owner)
        setattr(place, last, scope["made"])
    found["cache"].MetricCache = lambda: SimpleNamespace(strategy="sorted")
    return found


def test_a_carbon_that_is_made_as_it_was_may_start():
    versions.expect(**made_like_carbon())


def test_a_carbon_that_is_made_otherwise_is_refused_by_name():
    carbon = made_like_carbon()
    carbon["writer"].writeCachedDataPoints = lambda: None
    with pytest.raises(
        SystemExit, match=r"carbon\.writer\.writeCachedDataPoints is not as in carbon 1\.1\.7 and 1\.1\.10"
    ):
        versions.expect(**carbon)


def test_a_cache_without_a_strategy_is_refused():
    carbon = made_like_carbon()
    carbon["cache"].MetricCache = lambda: SimpleNamespace(strategy=None)
    with pytest.raises(SystemExit, match="CACHE_WRITE_STRATEGY"):
        versions.expect(**carbon)
