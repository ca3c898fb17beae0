"""What is sent next, what again, and at which pace: positions alone, no sockets and no files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphing.durable.delivery import Delivery, Pace
from graphing.durable.span import Position, Span


def test_the_pace_is_kept():
    pace = Pace(1000)
    now, sent = 100.0, 0
    assert pace.wait(now) == 0
    for chunk in (400, 1, 5000, 0, 250) * 20:
        now += pace.wait(now)
        assert sent <= 1000 * (now - 100) + 1e-6
        pace.spend(chunk, now)
        sent += chunk
    assert pace.wait(now) == pytest.approx(0.25)
    # Nothing is saved for later while there is nothing to send.
    pace.spend(500, now + 1000)
    assert pace.wait(now + 1000) == pytest.approx(0.5)
    assert pace.wait(now + 1000.2) == pytest.approx(0.3)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(0, 5), st.booleans()),
        st.tuples(st.just("send"), st.integers(1, 3)),
        st.tuples(st.just("confirm"), st.integers(0, 3), st.booleans()),
        st.tuples(st.just("broken")),
        st.tuples(st.just("again"), st.integers(0, 40)),
        st.tuples(st.just("lose"), st.integers(0, 40), st.integers(0, 6)),
    ),
    max_size=40,
)


def at(offset):
    return Position(offset, offset)


@given(STEPS)
def test_a_delivery_loses_and_invents_nothing(steps):
    """Each line is a byte here; the model keeps them in sets."""
    delivery = Delivery(at(3), Span(at(1), at(3)), Span(at(0), at(1)), 600)
    waiting, flying, again = {1, 2}, [], {0}
    total = 0
    for step, *arguments in steps:
        if step == "commit":
            waiting |= set(range(delivery.end.offset, delivery.end.offset + arguments[0]))
            delivery.commit(at(delivery.end.offset + arguments[0]), connected=arguments[1])
        elif step == "send" and (upcoming := delivery.next()):
            end = min(upcoming.span.end.offset, upcoming.span.start.offset + arguments[0])
            span = set(range(upcoming.span.start.offset, end))
            assert span <= (again if upcoming.again else waiting)
            assert not waiting or not upcoming.again
            total += len(span)
            count = delivery.sent(
                Span(upcoming.span.start, at(end)), again=upcoming.again, total=total, now=total, wall=1e9
            )
            assert count == len(span & waiting)
            flying.append((span, upcoming.again))
            waiting -= span
            again -= span
        elif step == "confirm":
            done = flying[: arguments[0]]
            flying = flying[arguments[0] :]
            until = total - sum(len(span) for span, _ in flying)
            # Each of the two limits holds by itself.
            assert delivery.confirm(*((until, total) if arguments[1] else (total, until))) == bool(done)
        elif step == "broken":
            back = set().union(*(span for span, was_again in flying if not was_again)) - waiting
            again = (again | set().union(*(span for span, _ in flying))) - back - waiting
            assert delivery.broken() == len(back)
            waiting |= back
            flying = []
        elif step == "again":
            # The history is that of all steps: everything was sent at one time.
            delivery.send_again(2e9, at(arguments[0]))
            again = (again | set(range(arguments[0], delivery.end.offset))) - waiting
        elif step == "lose":
            span = set(range(arguments[0], arguments[0] + arguments[1]))
            assert delivery.remove(Span(at(arguments[0]), at(arguments[0] + arguments[1]))) == len(span & waiting)
            waiting -= span
            again -= span
        undelivered = waiting | set().union(*(span for span, was_again in flying if not was_again))
        assert delivery.lines() == len(waiting)
        assert delivery.waits_from().offset == min(waiting, default=delivery.end.offset)
        assert delivery.delivered().offset == min(undelivered, default=delivery.end.offset)
        doubtful = undelivered | again | set().union(*(span for span, _ in flying))
        assert delivery.doubtful().offset == min(doubtful, default=delivery.end.offset)
        found = {offset for span in delivery.needed() for offset in range(span.start.offset, span.end.offset)}
        assert found == undelivered


def test_what_was_sent_long_ago_is_not_sent_again():
    delivery = Delivery(at(4), Span(at(0), at(4)), Span(at(0), at(0)), 600)
    for offset, wall in ((0, 1000), (1, 1300), (2, 1601), (3, 1999)):
        delivery.sent(Span(at(offset), at(offset + 1)), again=False, total=offset + 1, now=offset, wall=wall)
    delivery.confirm(4, 4)
    delivery.send_again(1600, at(4))
    assert delivery.next().span == Span(at(2), at(4))
    # What is older than the history is known no more.
    delivery.send_again(0, at(4))
    assert delivery.next().span == Span(at(2), at(4))
