"""Which engine aggregates: the compiled one where its module is installed, or the reference."""

from typing import Any, Protocol

from graphing.statsd.engine import compiled
from graphing.statsd.engine.compiled import CompiledEngine
from graphing.statsd.engine.receive import BatchReceiver, Receiver
from graphing.statsd.model.lines import Flush, Form, IntervalFlush
from graphing.statsd.model.protocol import Kind
from graphing.statsd.model.reference import BucketRules, Engine, Interval, Outcome


class AnyEngine(Protocol):
    """What both engines can do; `aggregate.Engine` says it in detail."""

    name: str

    def configure(self, rules: BucketRules) -> None:
        """Go by other rules."""

    def collect_outcome(self) -> Outcome:
        """Return what became of what was fed."""

    def interval(self) -> Interval:
        """Return the interval in progress."""

    def delete(self, kind: Kind, bucket: str) -> bool:
        """Forget a bucket."""

    def restore(self, saved: Interval) -> None:
        """Add a saved interval."""

    def feed(self, lines: bytes | bytearray | memoryview) -> None:
        """Add newline-joined lines."""

    def serialize_changes(self) -> bytes:
        """Return records of `partial`."""

    @property
    def has_changes(self) -> bool:
        """Whether records wait that are not in the log."""

    @property
    def wants_compaction(self) -> bool:
        """Whether compacting the log now keeps the next time short."""

    def begin_flush(self, form: Form) -> Flush:
        """End the interval in progress, after `serialize_changes`."""

    def receiver(self, memory: Any) -> Receiver:
        """Return what receives into a log's memory and feeds this engine."""

    def __len__(self) -> int: ...


class PythonEngine(Engine):
    """The reference, with its way to receive and to flush."""

    def begin_flush(self, form: Form) -> Flush:
        """End the interval in progress."""
        return IntervalFlush(self.end_interval(), form)

    def receiver(self, memory: Any) -> Receiver:
        """Return what receives into a log's memory and feeds this engine."""
        receiver = BatchReceiver(memory, self.feed)
        self.sender_of = receiver.sender_of
        return receiver


def make_engine(choice: str, rules: BucketRules) -> AnyEngine:
    """Return the engine that the setting `engine` asks for; raise ImportError if it is not there."""
    if choice == "python" or (choice == "auto" and not compiled.is_available()):
        return PythonEngine(rules)
    return CompiledEngine(rules)
