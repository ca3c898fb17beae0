"""Whether values are refused, by the aggregator or by a carbon-cache: whose they are, why, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from graphing.checks.verdict import State, Verdict

SLOT_SECONDS = 40.0
"""The length of a slot of time. A check looks at five of them, the last one in progress."""
SLOTS = 5
_STEADY_SLOTS = 3
"""In so many of them something is refused that comes once a minute, and not what happened once or twice."""
_LARGE_SHARE, _LARGE_NUMBER = 0.01, 100
_SHOWN = 3

_REMEDIES = {
    "bad_lines": "Correct the sender's lines: `journalctl -u statsd -g 'bad line'` shows some of them whole.",
    "type_conflicts": "A bucket keeps the type of its first event: rename one of the two, or let the console "
    "forget the first (delcounters, deltimers, delgauges, delsets).",
    "refused": "Find who makes so many names or values, or raise statsd_max_buckets or statsd_max_values; if they are "
    "dated ahead, set the sender's clock.",
}
"""By the reasons of the aggregator."""


class Slot(NamedTuple):
    """How many values came within a slot of time, and how many of them were refused."""

    received: int
    refused: int


@dataclass(frozen=True)
class RefusedBucket:
    """A name and why it was refused, in the aggregator's words."""

    name: str
    reason: str
    values: int
    """About right, where very many names are refused."""
    why: str
    sender: str

    def __str__(self) -> str:
        # Whoever can send a datagram chooses these words: no control character of them may reach a terminal.
        why = f"{self.why}, from {self.sender}" if self.sender else self.why
        return f"{self.name!a} {self.values:,} times ({ascii(why)[1:-1]})"


@dataclass(frozen=True)
class Lately:
    """What an aggregator tells of the last slots."""

    slots: Sequence[Slot]
    busiest: Sequence[RefusedBucket]


def lately_of(said: dict[str, Any]) -> Lately:
    """Read `lately` of /statusz. Raises KeyError, TypeError, ValueError."""
    return Lately(
        [Slot(int(came), int(refused)) for came, refused in zip(said["received"], said["refused"], strict=True)],
        [
            RefusedBucket(
                str(each["name"]), str(each["reason"]), int(each["values"]), str(each["why"]), str(each["sender"])
            )
            for each in said["busiest"]
        ],
    )


def judge(lately: Lately | None) -> Verdict:
    """Tell whether the aggregator refuses values, steadily or many of them; None: it does not tell."""
    if lately is None:
        return Verdict("refused", State.UNKNOWN, "the aggregator gives no figures")
    came, refused = totals(lately.slots)
    what = f"the aggregator has refused {refused:,} of {came:,} values in {SLOTS * SLOT_SECONDS:.0f} s"
    shown = lately.busiest[:_SHOWN]
    if shown:
        what += f", most often {'; '.join(map(str, shown))}"
    if not is_worth_saying(lately.slots):
        return Verdict("refused", State.OK, what if refused else "the aggregator refuses no values")
    remedies = dict.fromkeys(_REMEDIES.get(named.reason, "") for named in shown)
    return Verdict("refused", State.WARN, what, " ".join(remedies) or _REMEDIES["bad_lines"])


def totals(slots: Sequence[Slot]) -> Slot:
    """Add slots up."""
    return Slot(sum(slot.received for slot in slots), sum(slot.refused for slot in slots))


def is_worth_saying(slots: Sequence[Slot], at_once: bool = True) -> bool:
    """Tell whether values are refused steadily, or many and more than a hundredth: one bad line is no alarm.

    `at_once`: many are many if they came within one slot, too.
    """
    came, refused = totals(slots)
    touched = sum(slot.refused > 0 for slot in slots)
    large = refused >= max(_LARGE_NUMBER, _LARGE_SHARE * came) and (at_once or touched > 1)
    return large or touched >= _STEADY_SLOTS
