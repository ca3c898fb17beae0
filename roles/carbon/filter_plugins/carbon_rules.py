"""Storage rules of carbon as data: what a retention means, and what is wrong with a list of rules.

Pure functions, used by the role's preflight, so that a rule which carbon would refuse, ignore or never reach is
named before a host changes. Sources: whisper.validateArchiveList, carbon.storage.loadStorageSchemas.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

UNITS = {"seconds": 1, "minutes": 60, "hours": 3600, "days": 86400, "weeks": 604800, "years": 31536000}
METHODS = ("average", "sum", "last", "max", "min", "avg_zero", "absmax", "absmin")
POINT_BYTES = 12
BLOCK_BYTES = 4096  # of a file system: a file takes whole ones
STORE_MARGIN = 1.25  # inodes, directories, what the file system keeps for itself, and room to act before it is full
CATCH_ALL = ("", "^", ".*", "^.*", "^.*$", ".*$", ".+", "^.+", "^.+$")


def _seconds(text: str) -> int:
    """Seconds of `10s`, `1m`, `7d`, or of a bare number; ValueError for anything else."""
    match = re.fullmatch(r"(\d+)([a-z]*)", text.strip())
    # whisper takes any beginning of a unit's name.
    unit = next((factor for name, factor in UNITS.items() if match and name.startswith(match[2] or "s")), 0)
    if not match or not unit or int(match[1]) == 0:
        raise ValueError(f"{text!r} is not a duration such as 10s, 1m, 6h, 7d or 5y")
    return int(match[1]) * unit


def retention_archives(retentions: str) -> list[tuple[int, int]]:
    """Archives of `10s:6h,1m:7d` as (seconds per point, points); ValueError names the part that is wrong."""
    archives = []
    for part in retentions.split(","):
        step, _, length = part.strip().partition(":")
        if not length:
            raise ValueError(f"{part.strip()!r} is not STEP:LENGTH, for example 10s:6h")
        seconds = _seconds(step)
        # carbon reads a bare number after the colon as points, anything with a unit as time.
        points = int(length) if length.strip().isdigit() else _seconds(length) // seconds
        archives.append((seconds, points))
    return archives


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
    """What whisper would refuse in a retention, as sentences; an empty list when it is right."""
    try:
        archives = retention_archives(str(retentions))
    except ValueError as error:
        return [str(error)]
    problems = []
    for (step, points), (next_step, next_points) in itertools.pairwise(archives):
        pair = f"{step}s for {step * points}s, then {next_step}s for {next_step * next_points}s"
        if next_step <= step:
            problems.append(f"archives must go from fine to coarse ({pair})")
        elif next_step % step:
            problems.append(f"each step must be a multiple of the one before ({pair})")
        elif next_step * next_points <= step * points:
            problems.append(f"each archive must reach further back than the one before ({pair})")
        elif points < next_step // step:
            problems.append(f"an archive must hold enough points to fill one of the next ({pair})")
    return problems


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
            problems.append(f"{name}: method {method!r} is none of {', '.join(METHODS)}")
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 <= factor <= 1:
            problems.append(f"{name}: x_files_factor {factor!r} is not between 0 and 1")
    return problems


def _rule_problems(rules: list[dict[str, Any]]) -> list[str]:
    """What either kind of list can get wrong: names, patterns, and rules that an earlier one hides."""
    problems: list[str] = []
    seen: list[tuple[str, str]] = []
    for rule in rules:
        name, pattern = str(rule.get("name", "")), str(rule.get("pattern", ""))
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            problems.append(f"{name!r}: a rule's name is made of letters, digits, - and _")
        if name in [earlier for earlier, _ in seen]:
            problems.append(f"{name}: the name stands twice; carbon would keep the last one only")
        try:
            re.compile(pattern)
        except re.error as error:
            problems.append(f"{name}: pattern {pattern!r} is not a regular expression: {error}")
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
        }
