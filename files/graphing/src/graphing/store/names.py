"""Names of series and where they lie: `stats.web.count` is `stats/web/count.wsp`.

A series with tags lies under `_tagged`, by default as a hash, from which its name cannot be told: graphite-web knows it
(see `tags`). The rules are carbon's: carbon.util.TaggedSeries.encode.
"""

import hashlib
import re
from pathlib import PurePosixPath

from graphing.core.line import is_legal_name
from graphing.store import StoreError

ENDING = ".wsp"
TAGGED = "_tagged"
_HASH = re.compile(r"[0-9a-f]{64}").fullmatch
_IN_A_PATH = re.compile(r"[^./\s;*?\[\]{}\x00-\x1f]+(?:\.[^./\s;*?\[\]{}\x00-\x1f]+)*").fullmatch


def name_of(path: PurePosixPath) -> str | None:
    """The series that lies at a path relative to the tree; None if the path is its hash."""
    stem = path.name.removesuffix(ENDING)
    if path.parts[0] != TAGGED:
        return ".".join([*path.parts[:-1], stem])
    return None if _HASH(stem) else stem.replace("_DOT_", ".")


def path_of(name: str) -> PurePosixPath:
    """Where a series lies, relative to the tree."""
    if ";" not in name:
        return PurePosixPath(name.replace(".", "/") + ENDING)
    digest = hashlib.sha256(name.encode()).hexdigest()
    return PurePosixPath(TAGGED, digest[:3], digest[3:6], digest + ENDING)


def check_rename(old: str, new: str) -> None:
    """Raise StoreError unless a series or subtree `old` may be called `new`."""
    if ";" in old or ";" in new:
        raise StoreError(
            f"{old} to {new}: series with tags cannot be renamed, because their name is part of their tags"
        )
    if not _IN_A_PATH(old):
        raise StoreError(
            f"rename_from {old!r} is no name: give the dots and all of one series or subtree, such as stats.web, "
            "without *, ?, /, blanks or empty parts"
        )
    if not is_legal_name(new):
        raise StoreError(
            f"rename_to {new!r} is no name: letters, digits, - and _ make a part, one dot stands between two, "
            "for example stats.shop.web"
        )
    if f"{old}.".startswith(f"{TAGGED}.") or f"{new}.".startswith(f"{TAGGED}."):
        raise StoreError(f"{old} to {new}: {TAGGED} belongs to the series with tags")
    if new == old:
        raise StoreError(f"rename_from and rename_to are both {old!r}")
    if f"{new}.".startswith(f"{old}."):
        raise StoreError(f"{new} lies inside {old}: rename to a name outside first, then to this one")
