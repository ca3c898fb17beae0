"""Which engine aggregates: the compiled one where its module is installed, or the reference."""

from typing import Any, Protocol

from graphing.statsd.engine import compiled
from graphing.statsd.engine.compiled import CompiledEngine
from graphing.statsd.engine.receive import BatchReceiver, Receiver
from graphing.statsd.model.lines import Flush, Form, IntervalFlush
from graphing.statsd.model.protocol import Kind
from graphing.statsd.model.reference import Engine, Fed, Interval, Rules


class AnyEngine(Protocol):
    """What both engines can do; `aggregate.Engine` says it in detail."""

    name: str

    def configure(self, rules: Rules) -> None:
        """Go by other rules."""

    def take_fed(self) -> Fed:
        """Return what became of what was fed."""

    def interval(self) -> Interval:
        """Return the interval in progress."""

    def delete(self, kind: Kind, bucket: str) -> bool:
        """Forget a bucket."""

    def restore(self, saved: Interval) -> None:
        """Add a saved interval."""

    def feed(self, lines: bytes | bytearray | memoryview) -> None:
        """Add newline-joined lines."""

    def cut(self) -> bytes:
        """Return records of `partial`."""

    @property
    def uncut(self) -> bool:
        """Whether there is anything to cut that is not in the log."""

    @property
    def wants_cut(self) -> bool:
        """Whether a cut now keeps the next one short."""

    def begin_flush(self, form: Form) -> Flush:
        """End the interval in progress, after a cut."""

    def receiver(self, memory: Any) -> Receiver:
        """Return what receives into a log's memory and feeds this engine."""

    def __len__(self) -> int: ...


class PythonEngine(Engine):
    """The reference, with its way to receive and to flush."""

    def begin_flush(self, form: Form) -> Flush:
        """End the interval in progress."""
        return IntervalFlush(self.take(), form)

    def receiver(self, memory: Any) -> Receiver:
        """Return what receives into a log's memory and feeds this engine."""
        receiver = BatchReceiver(memory, self.feed)
        self.sender_of = receiver.sender_of
        return receiver


def make_engine(choice: str, rules: Rules) -> AnyEngine:
    """Return the engine that the setting `engine` asks for; raise ImportError if it is not there."""
    if choice == "python" or (choice == "auto" and not compiled.is_available()):
        return PythonEngine(rules)
    return CompiledEngine(rules)
