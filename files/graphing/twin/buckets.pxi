# Single buckets: what the reference asks and does when it has looked at an unusual line; and a copy of all of them.
# Uses native, layout, table, entries, touch.


cdef bint has_bucket(Table table, bytes name, uint8_t kind) except -1:
    """Do what `Table.has` says."""
    cdef const char *p = PyBytes_AS_STRING(name)
    cdef size_t length = PyBytes_GET_SIZE(name)
    cdef Entry *entry = find_entry(table, p, length, kind, hash_of(table, p, length, kind))
    return is_there(table, entry)


cdef bint delete_bucket(Table table, bytes name, uint8_t kind) except -1:
    """Do what `Table.delete` says."""
    cdef const char *p = PyBytes_AS_STRING(name)
    cdef size_t length = PyBytes_GET_SIZE(name)
    cdef Entry *entry = find_entry(table, p, length, kind, hash_of(table, p, length, kind))
    if not is_there(table, entry):
        return False
    # The next record of changes says so as well.
    touch_entry(table, entry)
    kill_entry(table, entry)
    return True


cdef int add_to_counter(Table table, bytes name, double amount) except -1:
    """Do what `Table.add_counter` says."""
    cdef Entry *entry = entry_named(table, name, COUNTER)
    touch_entry(table, entry)
    entry.now += amount
    return 0


cdef size_t add_to_timer(Table table, bytes name, values, double unsent) except? 0:
    """Do what `Table.add_timer` says."""
    cdef Entry *entry = entry_named(table, name, TIMER)
    cdef size_t fitted = 0
    touch_entry(table, entry)
    for value in values:
        if not append_value(table, entry, value):
            break
        fitted += 1
    else:
        entry.now += unsent
    return fitted


cdef int change_gauge(Table table, bytes name, double value, bint delta) except -1:
    """Do what `Table.set_gauge` says."""
    cdef Entry *entry = entry_named(table, name, GAUGE)
    touch_entry(table, entry)
    entry.now = value + (entry.now if delta else 0.0)
    return 0


cdef size_t add_to_set(Table table, bytes name, members) except? 0:
    """Do what `Table.add_members` says."""
    cdef Entry *entry = entry_named(table, name, SET)
    cdef size_t fitted = 0
    touch_entry(table, entry)
    mine = set_of(entry)
    for member in members:
        if member not in mine:
            if <uint64_t>len(mine) >= table.max_values:
                break
            mine.add(member)
        fitted += 1
    return fitted


cdef tuple copy_buckets(Table table):
    """Do what `Table.buckets` says."""
    counters, timers, unsent, gauges, sets = {}, {}, {}, {}, {}
    cdef size_t i, j
    cdef Entry *entry
    cdef Values *values
    for i in range(table.entry_count):
        entry = table.entries[i]
        if not is_there(table, entry):
            continue
        name = PyBytes_FromStringAndSize(name_of(entry), entry.name_length)
        fresh = entry.touched == table.interval
        if entry.kind == COUNTER:
            counters[name] = entry.now if fresh else 0.0
        elif entry.kind == GAUGE:
            gauges[name] = entry.now
        elif entry.kind == TIMER:
            values = <Values *>data_of(entry)[0] if fresh else NULL
            timers[name] = [] if values == NULL else [values.v[j] for j in range(values.n)]
            if fresh and entry.now:
                unsent[name] = entry.now
        else:
            sets[name] = set(<set>data_of(entry)[0]) if fresh and data_of(entry)[0] != NULL else set()
    return counters, timers, unsent, gauges, sets
