"""What was refused lately, and its busiest names: in bounded memory, from the few complaints that an engine tells.

An engine counts all that it refuses, and tells the first ones of each turn. So what is told for a reason stands for all
that was refused for it in that turn, in equal parts.
"""

import re
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from graphing.statsd.model.reference import Complaint, Outcome, Reason

SLOT_SECONDS = 40.0
SLOTS = 5
"""So many slots of time are known, the last one in progress."""
_NAMES = 64
"""So many names are known of a slot. One more takes the place of the rarest and inherits its number (space-saving)."""
_LISTED = 10
_LONGEST = 80
"""Characters of a name, a reason or a sender."""

_BEHIND_THE_NAME = re.compile(r"[:|{]")


@dataclass(slots=True)
class RefusedName:
    """A name and why it was refused; why and sender are those of its newest complaint."""

    name: str
    reason: str
    """A `Reason`."""
    values: int = 0
    why: str = ""
    sender: str = ""


@dataclass(slots=True)
class _Slot:
    received: int = 0
    refused: int = 0
    names: dict[tuple[str, str], RefusedName] = field(default_factory=dict)

    def add(self, complaint: Complaint, values: int) -> None:
        key = (complaint.reason, name_of(complaint))
        named = self.names.get(key) or self._admit(key)
        named.values += values
        named.why = complaint.text[:_LONGEST]
        named.sender = complaint.sender[:_LONGEST] or named.sender

    def _admit(self, key: tuple[str, str]) -> RefusedName:
        inherited = 0
        if len(self.names) >= _NAMES:
            rarest = min(self.names, key=lambda each: self.names[each].values)
            inherited = self.names.pop(rarest).values
        self.names[key] = RefusedName(key[1], key[0], inherited)
        return self.names[key]


def name_of(complaint: Complaint) -> str:
    """Return the bucket, of a bad line what stands where its bucket should."""
    found = complaint.subject
    if complaint.reason is Reason.BAD:
        found = _BEHIND_THE_NAME.split(found, maxsplit=1)[0]
    return found[:_LONGEST]


class Refusals:
    """The last slots of time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slots: dict[int, _Slot] = {}

    def note(self, outcome: Outcome, nameless: int = 0) -> None:
        """Take what became of a turn's values; `nameless`: bad ones besides, of which there is no complaint."""
        received = outcome.metrics + nameless + sum(getattr(outcome, reason) for reason in Reason)
        if not received:
            return
        slot = self._slot()
        slot.received += received
        slot.refused += received - outcome.metrics
        for reason in Reason:
            complaints = [complaint for complaint in outcome.complaints if complaint.reason is reason]
            for number, complaint in enumerate(complaints):
                # Equal parts that add up to all of them.
                slot.add(complaint, (getattr(outcome, reason) + number) // len(complaints))

    def _slot(self) -> _Slot:
        number = int(self._clock() // SLOT_SECONDS)
        if number not in self._slots:
            self._slots[number] = _Slot()
            self._forget(number)
        return self._slots[number]

    def _forget(self, latest: int) -> None:
        for number in [number for number in self._slots if number <= latest - SLOTS]:
            del self._slots[number]

    def report(self) -> dict[str, Any]:
        """Return what /statusz says: values received and refused by slot, oldest first, and the busiest names."""
        latest = int(self._clock() // SLOT_SECONDS)
        self._forget(latest)
        return {
            "seconds": SLOTS * SLOT_SECONDS,
            "received": [slot.received for slot in self._slots.values()],
            "refused": [slot.refused for slot in self._slots.values()],
            "busiest": [asdict(named) for named in self._busiest()[:_LISTED]],
        }

    def _busiest(self) -> list[RefusedName]:
        found: dict[tuple[str, str], RefusedName] = {}
        for slot in self._slots.values():
            for key, named in slot.names.items():
                before = found.get(key)
                values = named.values + (before.values if before else 0)
                sender = named.sender or (before.sender if before else "")
                found[key] = RefusedName(named.name, named.reason, values, named.why, sender)
        return sorted(found.values(), key=lambda named: (-named.values, named.name))
