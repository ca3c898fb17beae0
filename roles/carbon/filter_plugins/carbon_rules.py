"""Storage rules of carbon as data: what a retention means, and what is wrong with a list of rules.

Pure functions, used by the role's preflight, so that a rule which carbon would refuse, ignore or never reach is
named before a host changes, and how the rest is written so that carbon reads what was meant. Sources:
whisper.validateArchiveList, carbon.storage.loadStorageSchemas, carbon.util.parseRetentionDef, configparser.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from typing import Any

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800, "years": 31536000}
METHODS = ("average", "sum", "last", "max", "min", "avg_zero", "absmax", "absmin")
POINT_BYTES = 12
MOST_SECONDS = MOST_BYTES = 2**32 - 1  # whisper keeps the length of an archive, and where it begins, in 32 bits
BLOCK_BYTES = 4096  # of a file system: a file takes whole ones
STORE_MARGIN = 1.25  # inodes, directories, what the file system keeps for itself, and room to act before it is full
CATCH_ALL = ("^", ".*", "^.*", "^.*$", ".*$", ".+", "^.+", "^.+$")


def _duration(text: str) -> tuple[int, str]:
    """Number and unit of `10s`, `1min`, `7d`, or of a bare number (seconds); ValueError for anything else."""
    match = re.fullmatch(r"([0-9]{1,12})([a-z]*)", text.strip())
    # whisper takes any beginning of a unit's name.
    unit = next((name for name in UNITS if match and name.startswith(match[2] or "s")), "")
    if not match or not unit or int(match[1]) == 0:
        raise ValueError(f"{text.strip()!r} is not a duration such as 10s, 1m, 6h, 7d or 5y")
    return int(match[1]), unit


def _seconds(text: str) -> int:
    number, unit = _duration(text)
    return number * UNITS[unit]


def _parts(retentions: str) -> list[tuple[str, str]]:
    """STEP and LENGTH of each archive, as carbon reads them: without blanks, a unit as one letter."""
    parts = []
    for part in retentions.split(","):
        step, _, length = part.partition(":")
        if not length:
            raise ValueError(f"{part.strip()!r} is not STEP:LENGTH, for example 10s:6h")
        parts.append((_short(step), length.strip() if _is_points(length) else _short(length)))
    return parts


def _short(text: str) -> str:
    number, unit = _duration(text)
    return f"{number}{unit[0]}"


def _is_points(length: str) -> bool:
    """Whether a length is a bare number: carbon reads it as points, anything with a unit as time."""
    return re.fullmatch(r"0*[1-9][0-9]{0,11}", length.strip()) is not None


def retention_written(retentions: str) -> str:
    """A retention as carbon's own reader takes it; ValueError names the part that is wrong."""
    return ",".join(f"{step}:{length}" for step, length in _parts(retentions))


def retention_archives(retentions: str) -> list[tuple[int, int]]:
    """Archives of `10s:6h,1m:7d` as (seconds per point, points); ValueError names the part that is wrong."""
    return [
        (_seconds(step), int(length) if _is_points(length) else _seconds(length) // _seconds(step))
        for step, length in _parts(retentions)
    ]


def retention_step(retentions: str) -> int:
    """Seconds per point of the finest archive."""
    return min(step for step, _ in retention_archives(retentions))


def retention_bytes(retentions: str) -> int:
    """Bytes that one series takes on disk: a header of 16, 12 per archive, 12 per point."""
    archives = retention_archives(retentions)
    return 16 + POINT_BYTES * len(archives) + POINT_BYTES * sum(points for _, points in archives)


def store_gib(schemas: list[dict[str, Any]], series: int) -> int:
    """Whole GiB of disk for so many series, with a margin, as if all fell under the largest of the schemas."""
    largest = max(retention_bytes(rule["retentions"]) for rule in schemas)
    return math.ceil(math.ceil(largest / BLOCK_BYTES) * BLOCK_BYTES * series * STORE_MARGIN / 2**30)


def retention_problems(retentions: str) -> list[str]:
    """What carbon or whisper would refuse in a retention, as sentences; an empty list when it is right."""
    try:
        archives = retention_archives(str(retentions))
    except ValueError as error:
        return [str(error)]
    problems = [problem for archive in archives if (problem := _archive_problem(*archive))]
    problems += [problem for pair in itertools.pairwise(archives) if (problem := _pair_problem(*pair))]
    if not problems and retention_bytes(retentions) > MOST_BYTES:
        problems.append(f"a series would take {retention_bytes(retentions):,} bytes, and whisper keeps 4 GiB at most")
    return problems


def _archive_problem(step: int, points: int) -> str:
    if points == 0:
        return f"an archive must hold a point at least, and one of {step}s holds none in a shorter time"
    if step * points > MOST_SECONDS:
        return f"an archive of {step}s for {points} points is longer than the 136 years that whisper can keep"
    return ""


def _pair_problem(finer: tuple[int, int], coarser: tuple[int, int]) -> str:
    (step, points), (next_step, next_points) = finer, coarser
    pair = f"{step}s for {step * points}s, then {next_step}s for {next_step * next_points}s"
    if next_step <= step:
        return f"archives must go from fine to coarse ({pair})"
    if next_step % step:
        return f"each step must be a multiple of the one before ({pair})"
    if next_step * next_points <= step * points:
        return f"each archive must reach further back than the one before ({pair})"
    if points < next_step // step:
        return f"an archive must hold enough points to fill one of the next ({pair})"
    return ""


def pattern_written(pattern: str) -> str:
    """A pattern as carbon's ConfigParser reads it back: there, % begins the name of another value."""
    return pattern.replace("%", "%%")


def _pattern_problem(pattern: str) -> str:
    """Why carbon could not read this very pattern, or not use it; empty when it can."""
    if not pattern:
        return "is empty, and carbon skips a rule without one: write .* to match everything"
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in pattern):
        return r"has a line break or another control character: write \n, \t or \x01 in single quotes"
    if pattern != pattern.strip():
        return "begins or ends with a blank, which carbon takes off: write [ ] for it, or leave it out"
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"
    return ""


def schema_problems(schemas: list[dict[str, Any]], interval: int) -> list[str]:
    """What is wrong with storage schemas, whose finest step must be the interval (seconds) at which numbers come."""
    problems = _rule_problems(schemas)
    for rule in schemas:
        found = retention_problems(rule.get("retentions", ""))
        problems += [f"{rule.get('name')}: retentions {rule.get('retentions')!r}: {problem}" for problem in found]
        if not found and retention_step(rule["retentions"]) != interval:
            problems.append(
                f"{rule['name']}: retentions {rule['retentions']!r}: the finest step must equal the flush interval of "
                f"{interval}s, or points overwrite each other or leave gaps"
            )
    return problems


def aggregation_problems(rules: list[dict[str, Any]]) -> list[str]:
    """What is wrong with aggregation rules."""
    problems = _rule_problems(rules)
    for rule in rules:
        name, method, factor = rule.get("name"), rule.get("method"), rule.get("x_files_factor", 0)
        if method not in METHODS:
            problems.append(f"{name}: method {method!r} is not one of {', '.join(METHODS)}")
        if not _is_share(factor):
            problems.append(f"{name}: x_files_factor {factor!r} is not between 0 and 1")
    return problems


def _is_share(factor: object) -> bool:
    return isinstance(factor, int | float) and not isinstance(factor, bool) and 0 <= factor <= 1


def _name_problem(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return f"{name!r}: a rule's name is made of letters, digits, - and _"
    if name == "DEFAULT":
        return "DEFAULT: carbon reads a rule of this name into every other one: call it default"
    return ""


def _rule_problems(rules: list[dict[str, Any]]) -> list[str]:
    """What either kind of list can get wrong: names, patterns, and rules that an earlier one hides."""
    problems: list[str] = []
    seen: list[tuple[str, str]] = []
    for rule in rules:
        name, pattern = str(rule.get("name", "")), str(rule.get("pattern", ""))
        if problem := _name_problem(name):
            problems.append(problem)
        if name in [earlier for earlier, _ in seen]:
            problems.append(f"{name}: the name stands twice; carbon would keep the last one only")
        if problem := _pattern_problem(pattern):
            problems.append(f"{name}: pattern {pattern!r} {problem}")
        hider = next((earlier for earlier, wider in seen if _hides(wider, pattern)), None)
        if hider is not None:
            problems.append(
                f"{name}: pattern {pattern!r} is never reached: rule {hider} before it takes all it matches"
            )
        seen.append((name, pattern))
    if not rules or str(rules[-1].get("pattern", "")) not in CATCH_ALL:
        problems.append("the last rule must match everything (pattern .*), or carbon falls back to one of its own")
    return problems


def _hides(earlier: str, later: str) -> bool:
    r"""Whether all that `later` matches is matched by `earlier`, as far as that can be told from the text.

    True for a catch-all, the same pattern, and a literal start (^stats\.) of a longer one (^stats\.web\.).
    """
    if earlier in CATCH_ALL or earlier == later:
        return True
    literal = re.fullmatch(r"\^(?:[A-Za-z0-9_-]|\\\.)+", earlier)
    return (
        bool(literal)
        and later.startswith(earlier)
        and not re.match(r"[*+?{]", later[len(earlier) :])
        and "|" not in later
    )


class FilterModule:
    """The filters as Ansible finds them."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {
            "carbon_schema_problems": schema_problems,
            "carbon_aggregation_problems": aggregation_problems,
            "carbon_retention_step": retention_step,
            "carbon_retention_bytes": retention_bytes,
            "carbon_store_gib": store_gib,
            "carbon_retention_problems": retention_problems,
            "carbon_retention_written": retention_written,
            "carbon_pattern_written": pattern_written,
        }
