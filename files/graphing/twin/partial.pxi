# The partial result of an interval: what changed since the last cut, as records in the form that `partial` reads.
# Uses native, layout, text, table.
#
# A name gets its number (`id`) once an interval, by `define_name` alone. A timer's value is in one cut: `cut` in its
# Values says how many were in earlier ones, and is 0 again when `touch_entry` empties them.

cdef enum:
    KEPT_CAPACITY = 262144
    # A cut of so many buckets takes two milliseconds.
    MOST_DIRTY = 8192
    # Bytes of records that a flush may leave for the next cut.
    MOST_PARTIAL = 131072

# At full speed cuts are no closer than so many seconds, or their files would grow too fast.
cdef double CUT_PAUSE = 0.05


cdef int define_name(Table table, Entry *entry) except -1:
    """Give the entry a number in the partial result, with its name."""
    reserve(&table.partial, 4 + entry.name_length)
    put(&table.partial, b"N", 1)
    put(&table.partial, <char *>&entry.kind, 1)
    put(&table.partial, <char *>&entry.name_length, 2)
    put(&table.partial, name_of(entry), entry.name_length)
    entry.partial = table.interval
    entry.id = table.next_id
    table.next_id += 1
    return 0


cdef int put_changes(Table table, Entry *entry) except -1:
    """Write what has become of the entry since the last cut."""
    cdef Values *values
    cdef uint32_t n
    reserve(&table.partial, 32)
    if not entry.live:
        if entry.partial != table.interval:
            return 0
        put(&table.partial, b"D", 1)
        put(&table.partial, <char *>&entry.id, 4)
        return 0
    if entry.partial != table.interval:
        define_name(table, entry)
        reserve(&table.partial, 32)
    if entry.kind != SET:
        put(&table.partial, b"V", 1)
        put(&table.partial, <char *>&entry.id, 4)
        put(&table.partial, <char *>&entry.now, 8)
    if entry.kind == TIMER:
        values = <Values *>data_of(entry)[0]
        if values != NULL and values.n > values.cut:
            n = values.n - values.cut
            reserve(&table.partial, 9 + n * sizeof(double))
            put(&table.partial, b"T", 1)
            put(&table.partial, <char *>&entry.id, 4)
            put(&table.partial, <char *>&n, 4)
            put(&table.partial, <char *>&values.v[values.cut], n * sizeof(double))
            values.cut = values.n
    elif entry.kind == SET and data_of(entry)[0] != NULL:
        # All of them: a set has no order in which some are new.
        for member in <set>data_of(entry)[0]:
            n = <uint32_t>len(member)
            reserve(&table.partial, 9 + n)
            put(&table.partial, b"S", 1)
            put(&table.partial, <char *>&entry.id, 4)
            put(&table.partial, <char *>&n, 4)
            put_bytes(&table.partial, member)
    return 0


cdef bytes cut_partial(Table table):
    """Do what `Table.serialize_changes` says."""
    cdef size_t i
    for i in range(table.dirty_count):
        if i + 8 < table.dirty_count:
            gt_prefetch(table.dirty[i + 8])
        put_changes(table, table.dirty[i])
    table.dirty_count = 0
    table.cut_number += 1
    table.last_cut = gt_now()
    result = PyBytes_FromStringAndSize(table.partial.p, table.partial.n)
    table.partial.n = 0
    if table.partial.capacity > KEPT_CAPACITY:
        free(table.partial.p)
        table.partial.p = NULL
        table.partial.capacity = 0
    return result


cdef inline bint must_cut(Table table, double now) noexcept nogil:
    return table.partial.n >= MOST_PARTIAL or (table.dirty_count >= MOST_DIRTY and now - table.last_cut >= CUT_PAUSE)
