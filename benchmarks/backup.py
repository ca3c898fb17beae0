"""What a daily backup of whisper files costs: benchmarks/backup.py [SERIES].

By Borg as role backup uses it, by Borg as it comes and by restic, as far as they are installed: makes whisper files
of a server that has run for five years, stores them, lets a day pass in which every series gets its points, stores
them again.
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "files/graphing/src"))
from graphing.whisperfile.layout import POINT, Archive, Layout, encode_layout

# carbon_retentions as it comes
LAYOUT = Layout((Archive(10, 2160), Archive(60, 10080), Archive(600, 12960), Archive(3600, 43800)), "average", 0.0)
BEGIN = 1_800_000_000
ENVIRONMENT = {**os.environ, "BORG_PASSPHRASE": "x", "RESTIC_PASSWORD": "x"}


def value(series: int, step: int, slot: int) -> float:
    """The same for the same slot on every day: counts in one half of the series, measured values in the other."""
    number = random.Random(series * 7919 + slot ^ step)  # noqa: S311 - no secret
    return float(number.randrange(50) * step // 10) if series % 2 else number.random() * 100


def whisper(series: int, now: int) -> bytes:
    """A full whisper file, its newest points of `now`."""
    parts = [encode_layout(LAYOUT)]
    for archive in LAYOUT.archives:
        ring = bytearray(archive.bytes)
        for slot in range(now // archive.step - archive.points + 1, now // archive.step + 1):
            # The same place on each day, as in a file that is written in place.
            place, stamp = archive.place(slot * archive.step, 0), slot * archive.step
            POINT.pack_into(ring, POINT.size * place, stamp, value(series, archive.step, slot))
        parts.append(bytes(ring))
    return b"".join(parts)


def shell(command: str, folder: Path) -> None:
    """Run a command there."""
    subprocess.run(["sh", "-ec", command], cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)


def kib(folder: Path) -> int:
    """The size of all files below it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >> 10


def main() -> None:
    """Print a table."""
    series = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    borg = "borg {} --compression zstd,3 {}"
    ways = {
        "Borg, blocks of 16 KiB": (
            "borg init -e repokey-blake2 0",
            "tar c data | borg import-tar --compression zstd,3 --chunker-params fixed,16384 0::$DAY -",
        ),
        "Borg as it comes": ("borg init -e repokey-blake2 1", borg.format("create", "1::$DAY data")),
        "restic": ("restic init -r 2", "restic -r 2 backup data"),
    }
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        ENVIRONMENT["BORG_BASE_DIR"] = ENVIRONMENT["XDG_CACHE_HOME"] = str(root / "cache")
        used = {name: str(n) for n, name in enumerate(ways) if shutil.which(ways[name][0].split()[0])}
        for name in used:
            shell(ways[name][0], root)
        (root / "data").mkdir()
        for day in (0, 1):
            for number in range(series):
                (root / f"data/{number}.wsp").write_bytes(whisper(number, BEGIN + 86400 * day))
            print(f"day {day}: {series} series, {kib(root / 'data')} KiB")
            for name, repository in used.items():
                before = kib(root / repository)
                shell(ways[name][1].replace("$DAY", str(day)), root)
                print(f"  {name:24} {kib(root / repository) - before:8} KiB more")


main()
