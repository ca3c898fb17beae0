"""What is handed over becomes pieces of one stamp each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphing.durable import inbox
from graphing.durable.inbox import Put, chunks


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 2)), max_size=30), st.integers(20, 200))
def test_chunks_hold_the_same_lines(puts, limit):
    made = [Put(b"".join(b"a %d\n" % index for index in range(count)), count, stamp) for count, stamp in puts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inbox, "CHUNK_BYTES", limit)
        found = list(chunks(made))
    assert b"".join(chunk.data for chunk in found) == b"".join(put.data for put in made)
    assert all(chunk.data.endswith(b"\n") and len(chunk.data) <= limit for chunk in found)
    assert all(chunk.data.count(b"\n") == chunk.lines for chunk in found)
    by_stamp = [(chunk.stamp, chunk.lines) for chunk in found]
    for stamp in range(3):
        assert sum(n for found, n in by_stamp if found == stamp) == sum(put.lines for put in made if put.stamp == stamp)
