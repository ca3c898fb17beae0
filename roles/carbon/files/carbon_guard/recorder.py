"""What the guard tells of itself, as metrics beside carbon's own."""

from collections.abc import Iterator
from dataclasses import fields

from carbon_guard.counted import Counted
from carbon_guard.door import Door
from carbon_guard.store import Store


class Recorder:
    """What the guard tells about itself, as metrics beside carbon's own."""

    def __init__(self, counted: Counted, door: Door, store: Store) -> None:
        self._counted, self._door, self._store = counted, door, store
        self._before = Counted()

    def turn(self) -> Iterator[tuple[str, float]]:
        """Yield names and numbers since the last turn."""
        for field in fields(Counted):
            now = getattr(self._counted, field.name)
            yield field.name.replace("_", ".", 1) + ".count", now - getattr(self._before, field.name)
            setattr(self._before, field.name, now)
        yield "disk.free_bytes", self._store.disk.free()
        yield "door.open", int(self._door.is_open)
        yield "creates.waiting", self._store.waiting
        self._store.waiting = 0
