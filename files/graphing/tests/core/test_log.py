"""The log: what is written, and what is left out."""

import logging

from graphing.core.log import RateLimitedLog


def test_a_message_is_written_at_most_once_in_its_time_and_the_rest_is_counted(caplog):
    now = 100.0
    say = RateLimitedLog(logging.getLogger("test"), logging.WARNING, 1.0, clock=lambda: now)
    for index in range(5):
        say("bad line %d", index)
    now = 101.0
    say("bad line %d", 5)
    now = 102.5
    say("bad line %d", 6)
    assert caplog.messages == ["bad line 0", "bad line 5 (4 similar not shown)", "bad line 6"]
