# The flush: an interval ends, and its lines are written in slices while the next one is in progress.
# Uses native, layout, text, names, table, entries, partial.
#
# `start_flush` alone counts `interval` up, with nothing dirty. An entry touched since has what it was in the ended
# interval in `before`, `then` and the second of its data; any other still has it in `touched`, `now` and the first.


cdef int start_flush(Table table, Names names) except -1:
    """Do what `Table.begin_flush` says."""
    if table.dirty_count or table.flush_at != table.flush_end:
        raise RuntimeError("an interval ends after serialize_changes, and after the flush before it")
    if table.entry_count > 2 * table.live_count + 10000:
        compact_entries(table)
    table.names = names
    table.flush_at = 0
    table.flush_end = table.entry_count
    table.interval += 1
    table.next_id = 0
    return 0


cdef tuple next_slice(Table table, size_t most):
    """Do what `Table.flush_slice` says."""
    cdef Text out
    cdef size_t buckets = 0, work = 0
    cdef Names names = table.names
    cdef Entry *entry
    if table.flush_at >= table.flush_end:
        return None
    memset(&out, 0, sizeof(out))
    names.lines = names.not_finite = 0
    try:
        while table.flush_at < table.flush_end and work < most:
            entry = table.entries[table.flush_at]
            table.flush_at += 1
            if table.flush_at + 4 < table.flush_end:
                gt_prefetch(table.entries[table.flush_at + 4])
            names.values = 0
            if entry.live and flush_entry(table, entry, names, &out):
                buckets += 1
            # A timer with many values takes as long as many buckets.
            work += 1 + names.values // 16
        return PyBytes_FromStringAndSize(out.p, out.n), names.lines, names.not_finite, buckets
    finally:
        free(out.p)


cdef bint flush_entry(Table table, Entry *entry, Names names, Text *out) except -1:
    """Write an entry's lines and carry it over; False if it was not there in that interval."""
    cdef uint32_t ended = table.interval - 1
    cdef bint again = entry.touched == table.interval
    cdef uint32_t last = entry.before if again else entry.touched
    cdef bint idle = last != ended
    cdef void **data
    cdef void *members
    cdef Values *values
    cdef double value
    if again and entry.before == 0:
        return False
    if idle and table.forget[entry.kind]:
        # Forgotten at the end of the interval before; what is here is newer.
        if not again:
            kill_entry(table, entry)
        return False
    value = entry.then if again else entry.now
    if idle and entry.kind != GAUGE:
        value = 0.0
    if entry.kind == COUNTER:
        names.counter(out, name_of(entry), entry.name_length, value)
    elif entry.kind == GAUGE:
        names.gauge(out, name_of(entry), entry.name_length, value)
    elif entry.kind == TIMER:
        data = data_of(entry)
        values = NULL if idle else <Values *>data[1 if again else 0]
        names.timer(out, name_of(entry), entry.name_length, values, value)
        if idle:
            # An idle timer keeps no room.
            free(data[1])
            data[1] = NULL
            if not again:
                free(data[0])
                data[0] = NULL
    else:
        members = NULL if idle else data_of(entry)[1 if again else 0]
        names.members(out, name_of(entry), entry.name_length, len(<set>members) if members != NULL else 0)
    if not again and (
        table.forget[entry.kind]
        or (entry.kind == GAUGE and table.gauge_flushes and table.interval - last >= table.gauge_flushes)
    ):
        kill_entry(table, entry)
    elif entry.partial != table.interval:
        define_name(table, entry)
        if entry.kind == GAUGE:
            reserve(&table.partial, 13)
            put(&table.partial, b"V", 1)
            put(&table.partial, <char *>&entry.id, 4)
            put(&table.partial, <char *>&entry.now, 8)
    return True
