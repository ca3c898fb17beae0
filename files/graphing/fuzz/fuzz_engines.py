"""Looks for input on which the engines differ, or on which what reads bytes fails as it must not.

`python fuzz_engines.py [--seconds 60] [--target engines|wire] [CORPUS]`; see README.md. `run` does one input without
atheris, for tests/statsd/engine/test_fuzz_corpus.py.

An input is text as far as possible. Its first byte picks the target: `0` to `4` the rules of test_engines.py there (in
capitals, `A` to `E`, with its second form of a flush), `L` names and lines, `P` records, `R` the log of a dead process.
Then come segments with SEPARATOR between them.
"""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / part) for part in ("src", "tests", "tests/statsd/engine")]

from support import TWIN  # noqa: E402 - tests/ is found only now

sys.path.insert(0, str(TWIN))

import test_engines  # noqa: E402 - src/ is found only now

from graphing.core.line import BadName, clean_name, is_legal_name, is_legal_series  # noqa: E402 - src/ is found only now
from graphing.statsd.model import partial  # noqa: E402 - src/ is found only now
from graphing.statsd.model.protocol import Kind, Metric, decode, parse  # noqa: E402 - src/ is found only now
from graphing.statsd.survival import datagram_log, succession  # noqa: E402 - src/ is found only now

SEPARATOR = b"\x1e"
_KINDS = list(Kind)


def run(data: bytes) -> None:
    """Do what one input says; raise if that shows a bug."""
    target = data[:1]
    segments = data[1:].split(SEPARATOR)
    if target == b"L":
        lines(data[1:])
    elif target == b"P":
        records(data[1:])
    elif target == b"R":
        log(segments)
    elif target:
        engines(target[0], segments)


def engines(choice: int, segments: list[bytes]) -> None:
    """Feed both engines: a segment is a datagram, `!c` serializes, `!f` a flush, `!d` a deletion."""
    rules = test_engines.RULES[choice % 16 % len(test_engines.RULES)]
    form = test_engines.FORMS[choice >> 6 & 1]
    test_engines.assert_same([*map(_step, segments), "flush", "flush"], rules, form)


def _step(segment: bytes):
    if segment[:2] == b"!c":
        return "serialize"
    if segment[:2] == b"!f":
        return "flush"
    if segment[:2] == b"!d" and len(segment) > 3:
        return _KINDS[segment[2] % len(_KINDS)], decode(segment[3:])
    return segment


def lines(data: bytes) -> None:
    """Clean a name and parse lines: nothing but BadName may be raised, and what is taken must be fit for carbon."""
    with contextlib.suppress(BadName):
        assert is_legal_name(clean_name(decode(data)))
    for tags in (False, True):
        for metric in parse(data, tags)[0]:
            assert isinstance(metric, Metric)
            assert is_legal_series(metric.bucket) if tags else is_legal_name(metric.bucket)


def records(data: bytes) -> None:
    """Read records: nothing but ValueError may be raised."""
    with contextlib.suppress(ValueError):
        partial.read(data)


def log(segments: list[bytes]) -> None:
    """Take over from a log: segments are its words, its header, its lines and the file `1` of an interval."""
    words, header, content, interval = (segments + [b""] * 4)[:4]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "log")
        with path.open("wb") as file:
            file.write(b"STATSDL1" + words[:504])
            # Both headers, so that it does not matter which counts.
            for at in (512, 2304):
                file.seek(at)
                file.write(len(header).to_bytes(4, "little") + header[:1784])
            file.seek(datagram_log.LAYOUT["log"])
            file.write(content)
            file.truncate(datagram_log.LAYOUT["log"] + datagram_log.LAYOUT["log_size"])
        Path(directory, "log.1").write_bytes(interval)
        succession.find("", str(path))


def main() -> None:
    """Fuzz for some time."""
    parser = argparse.ArgumentParser(description="Fuzz the engines of the aggregator.")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--target", choices=["engines", "wire"], help="which; both if left out")
    parser.add_argument("corpus", nargs="?", type=Path, help="where what is found is kept; else it is thrown away")
    options = parser.parse_args()
    if options.target != "wire" and not test_engines.is_available():
        parser.error("the compiled engine is not built: bin/twin")
    import atheris  # noqa: PLC0415 - optional

    # A log that is set aside is told as an error.
    logging.disable(logging.CRITICAL)
    atheris.instrument_all()
    with tempfile.TemporaryDirectory() as scratch:
        found = options.corpus or Path(scratch, "corpus")
        found.mkdir(parents=True, exist_ok=True)
        words = Path(scratch, "words")
        words.write_text("".join(f'"{word}"\n' for word in _WORDS))
        flags = [f"-max_total_time={options.seconds}", f"-dict={words}", "-max_len=600", "-timeout=20"]
        flags += ["-rss_limit_mb=2048", f"-artifact_prefix={os.getcwd()}/", "-print_final_stats=1"]
        atheris.Setup([sys.argv[0], *flags, str(found), str(HERE / "corpus")], _of(options.target))
        atheris.Fuzz()


def _of(target: str | None):
    wire = b"LPR"
    if target is None:
        return run
    return lambda data: run(data) if (data[:1] in wire) == (target == "wire") else None


_WORDS = [
    r"\x1e",
    r"\x1e!f\x1e",
    r"\x1e!c\x1e",
    r"\x1e!d0a",
    ":1|c",
    "|ms",
    "|g",
    "|s",
    "|@0.1",
    "|#k:v",
    r"\x0a",
    "1e308",
]
_WORDS += [
    "|kv|@",
    "N",
    "V",
    "T",
    "S",
    "D",
    "K",
    "H",
    "M",
    ":+1|g",
    "|g|T9",
    ":1:2|c",
    ",k=v",
    ":-1|g",
    "1_0",
    "nan",
    "inf",
    ";k=v",
    '{\\"a\\":',
]


if __name__ == "__main__":
    main()
