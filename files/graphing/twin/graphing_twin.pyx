# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled twin of the hot loop: receive in batches, parse, aggregate, render.

`graphing.statsd.engine.compiled` wraps it; `graphing.statsd.model.reference` is the reference that it equals. Only
the usual forms of a line are handled here; every other line, and every new bucket that a rule may be against, goes to
the reference's code through the callback `slow`, in its turn, so that the order of lines is kept.

A bucket is an entry in an arena, found through a hash table of our own. Lines are handled in groups: all names of a
group are hashed first and their memory is asked for, then they are looked up; with many buckets, waiting for memory
is most of the work, and so the waits overlap.
"""

# One module, whose text is cut into parts. A part uses those above it, and the table's methods those below.
# What holds at all times, whatever part is changed:
# - A field of the table is written by the parts that table.pxi names beside it.
# - An entry is touched before it is added to or killed by name: so `dirty` has each entry that changed since the last
#   cut, once. `touch_entry` alone adds to `dirty`, `cut_partial` alone empties it.
# - `touched` and `before` are the last two intervals in which an entry was touched. `touch_entry` moves them on;
#   making, reviving and killing an entry set them to 0.
# - `partial` grows by whole records: at a cut, and in `flush_entry` by what a flush carries over. `cut_partial` alone
#   empties it.
# - An interval ends when nothing is dirty and the flush of the one before is over, see `start_flush`.
# - Entries are killed in place. `compact_entries` alone moves them, when an interval ends: pointers hold until then.
# - Code without the GIL uses no Python object but the table; what needs one takes the GIL: `touch_entry` (a set's
#   members), `ask_reference`.
# - The words of the log are written by one store each, after the bytes that they speak of.

# The C library, the kernel, C helpers; memory's layout.
include "native.pxi"
include "layout.pxi"
# Text, numbers and sums, which know no bucket; a flush's lines, which know no table.
include "text.pxi"
include "number.pxi"
include "sums.pxi"
include "names.pxi"
# All state, and the methods that Python calls.
include "table.pxi"
# Find, make and forget entries; make them part of an interval; which new ones need no asking; lines; single buckets.
include "entries.pxi"
include "touch.pxi"
include "rules.pxi"
include "parse.pxi"
include "buckets.pxi"
# Cut what changed; end an interval and write its lines.
include "partial.pxi"
include "flush.pxi"
# Memory that outlives the process; the sockets.
include "log.pxi"
include "receive.pxi"
