# Touching: an entry becomes one of the interval in progress and of the next cut; then a value is added to it.
# Uses native, layout, table.
#
# Whoever adds to an entry touches it first. `touch_entry` alone moves what an entry has from now to then: `touched` to
# `before`, `now` to `then`, the first of its two data to the second.


cdef inline bint is_stale(Table table, Entry *entry) noexcept nogil:
    """Tell whether the end of the last interval forgot a live entry; the flush comes to it in its turn."""
    if entry.touched == table.interval:
        return False
    if table.forget[entry.kind]:
        return True
    return entry.kind == GAUGE and table.gauge_flushes and table.interval - entry.touched >= table.gauge_flushes


cdef inline bint is_there(Table table, Entry *entry) noexcept nogil:
    return entry != NULL and entry.live and not is_stale(table, entry)


cdef inline bint may_be_touched(Table table, Entry *entry) noexcept nogil:
    """Tell whether no rule has to be asked.

    A forgotten bucket's name is free for others; but while only those come that were there in the last
    interval, they can't be in each other's way.
    """
    if entry == NULL or not entry.live:
        return False
    if entry.touched == table.interval or not is_stale(table, entry):
        return True
    return entry.touched == table.interval - 1 and table.newest_name != table.interval and not table.must_ask


cdef inline void touch_entry(Table table, Entry *entry) noexcept nogil:
    """Make the entry one of the interval in progress and of the next cut."""
    cdef void **data
    cdef void *swap
    cdef bint stale
    if entry.touched != table.interval:
        stale = is_stale(table, entry)
        entry.then = entry.now
        entry.before = entry.touched
        entry.touched = table.interval
        if entry.kind != GAUGE or stale:
            entry.now = 0.0
        if entry.kind == TIMER or entry.kind == SET:
            data = data_of(entry)
            swap = data[0]
            data[0] = data[1]
            data[1] = swap
            if data[0] == NULL:
                pass
            elif entry.kind == TIMER:
                (<Values *>data[0]).n = 0
                (<Values *>data[0]).cut = 0
            else:
                with gil:
                    (<set>data[0]).clear()
    if entry.cut != table.cut_number:
        entry.cut = table.cut_number
        if table.dirty_count < table.dirty_capacity:
            table.dirty[table.dirty_count] = entry
            table.dirty_count += 1
        else:
            with gil:
                grow_dirty(table, entry)


cdef void grow_dirty(Table table, Entry *entry) noexcept:
    cdef Entry **dirty = <Entry **>realloc(table.dirty, table.dirty_capacity * 2 * sizeof(Entry *))
    if dirty == NULL:
        # Nothing is lost by this but the cut's knowledge of one bucket.
        return
    table.dirty = dirty
    table.dirty_capacity *= 2
    table.dirty[table.dirty_count] = entry
    table.dirty_count += 1


cdef inline bint append_value(Table table, Entry *entry, double value) noexcept nogil:
    """Add a value to a touched timer; False if it has as many as it may have."""
    cdef void **data = data_of(entry)
    cdef Values *values = <Values *>data[0]
    cdef uint32_t capacity
    if values == NULL or values.n == values.capacity:
        if values != NULL and values.n >= table.max_values:
            return False
        capacity = 4 if values == NULL else values.capacity * 2
        values = <Values *>realloc(data[0], sizeof(Values) + capacity * sizeof(double))
        if values == NULL:
            return False
        if data[0] == NULL:
            values.n = values.cut = 0
        values.capacity = capacity
        data[0] = values
    elif values.n >= table.max_values:
        return False
    values.v[values.n] = value
    values.n += 1
    return True


cdef set set_of(Entry *entry):
    """The set of a touched set's members."""
    cdef void **data = data_of(entry)
    if data[0] == NULL:
        fresh = set()
        Py_INCREF(fresh)
        data[0] = <void *>fresh
    return <set>data[0]


cdef inline void note_refusal(Table table, Entry *entry) noexcept nogil:
    table.refused += 1
    if entry != NULL:
        table.refused_entry = entry
