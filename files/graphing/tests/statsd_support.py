"""What tests of several parts of the aggregator share: lines, datagrams, intervals, what a console shows."""

import itertools
import socket
from typing import Any

from hypothesis import strategies as st

from graphing.statsd.model.naming import conflict_in_plain
from graphing.statsd.model.protocol import Kind
from graphing.statsd.model.reference import BucketRules

PLAIN = BucketRules(conflict=conflict_in_plain("stats", "statsd", (90,)))

EVERY_LINE = [
    b"%s:%s|%s%s" % parts
    for parts in itertools.product(
        [b"a", b"b.c", b"c d", b"e", b"..", b"", b"f,x=1", b"g;y=2"],
        [b"1", b"-2", b"+3", b"4.5", b"x", b"", b"nan", b"1_0", b"1|c:2", b"1:2", b"1:+2:x", b":1"],
        [b"c", b"ms", b"g", b"s", b"h", b"kv", b"zz", b"", b"m", b"g|T9", b"c|T9"],
        [b"", b"|@0.5", b"|@0.25|#t:1", b"|@2", b"|#u,t:2|@5", b"\r", b"\xff"],
    )
]
_LINES = st.sampled_from(EVERY_LINE)
DATAGRAMS = st.binary(max_size=60) | st.lists(_LINES, max_size=8).map(b"\n".join)
"""Mostly good lines for few buckets, so that they meet; and anything at all."""


def normal(interval):
    interval.timers = {bucket: sorted(values) for bucket, values in interval.timers.items()}
    return interval


def has_ipv6():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


class RecordedView:
    """An aggregator that has received what etsy's server had when it was recorded."""

    def __init__(self):
        self.health = "up"
        self.buckets: dict[Kind, dict[str, Any]] = {
            Kind.COUNTER: {"web.hits": 5.0, "app.a.one": 1.0, "app.a.two": 1.0, "app.b": 1.0, "a.": 4.0, "a.b": 1.0},
            Kind.TIMER: {"web.time": [320.0, 100.5], "fol.t": [1.0], "fol.t.u": [1.0]},
            Kind.GAUGE: {"load": 1.5, "fol.g": 1.0, "folx.g": 2.0},
            Kind.SET: {"users": {"a", "b"}},
        }

    def counters(self):
        return self.buckets[Kind.COUNTER]

    def timers(self):
        return self.buckets[Kind.TIMER]

    def gauges(self):
        return self.buckets[Kind.GAUGE]

    def sets(self):
        return self.buckets[Kind.SET]

    def delete(self, kind, bucket):
        return self.buckets[kind].pop(bucket, None) is not None

    def stats(self):
        return [("uptime", "4"), ("messages.last_msg_seen", "2"), ("messages.bad_lines_seen", "1")]

    def config(self):
        return {
            "statsd": {"port": 8125, "tcp": False, "percentiles": (90, 99.9), "histograms": ({"match": "x"},)},
            "carbon": {"host": "localhost"},
            "watch": ["a", "b"],
            "debug": True,
        }
