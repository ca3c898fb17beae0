# Entries: found through the hash table, made in the arena, killed, compacted.
# Uses native, layout, table.
#
# A killed entry keeps its place and may come to life again under its name; only `compact_entries` gives its room back.
# It moves every entry: whoever keeps a pointer to one (`slots`, `entries`, `dirty`, `refused_entry`) is corrected or
# empty by then.

cdef enum:
    ARENA_BLOCK = 1048576


cdef inline uint64_t hash_of(Table table, const char *name, size_t length, uint8_t kind) noexcept nogil:
    return gt_hash(name, length, table.seed + kind)


cdef inline Entry *find_entry(Table table, const char *name, size_t length, uint8_t kind, uint64_t hash) noexcept nogil:
    cdef uint64_t i = hash & table.mask
    cdef Slot *slot
    cdef Entry *entry
    while True:
        slot = &table.slots[i]
        if slot.entry == NULL:
            return NULL
        if slot.hash == hash:
            entry = slot.entry
            if entry.name_length == length and entry.kind == kind and memcmp(name_of(entry), name, length) == 0:
                return entry
        i = (i + 1) & table.mask


cdef void insert_slot(Table table, Entry *entry) noexcept nogil:
    cdef uint64_t i = entry.hash & table.mask
    while table.slots[i].entry != NULL:
        i = (i + 1) & table.mask
    table.slots[i].hash = entry.hash
    table.slots[i].entry = entry


cdef bint rehash(Table table, uint64_t size) noexcept nogil:
    cdef Slot *slots = <Slot *>calloc(size, sizeof(Slot))
    cdef size_t i
    if slots == NULL:
        return False
    free(table.slots)
    table.slots = slots
    table.mask = size - 1
    for i in range(table.entry_count):
        insert_slot(table, table.entries[i])
    return True


cdef char *allocate(Table table, size_t size) noexcept nogil:
    """Return room in the arena, or NULL."""
    cdef char **blocks
    cdef char *block
    size = (size + 7) & ~<size_t>7
    if table.block_used + size > ARENA_BLOCK:
        blocks = <char **>realloc(table.blocks, (table.block_count + 1) * sizeof(char *))
        if blocks == NULL:
            return NULL
        table.blocks = blocks
        block = <char *>malloc(ARENA_BLOCK)
        if block == NULL:
            return NULL
        table.blocks[table.block_count] = block
        table.block_count += 1
        table.block_used = 0
    table.block_used += size
    return table.blocks[table.block_count - 1] + table.block_used - size


cdef Entry *entry_named(Table table, bytes name, uint8_t kind) except NULL:
    """Return the live entry, made if there was none."""
    cdef size_t length = PyBytes_GET_SIZE(name)
    cdef const char *p = PyBytes_AS_STRING(name)
    if length > LARGEST_NAME:
        raise ValueError("name too long")
    cdef Entry *entry = live_entry(table, p, length, kind, hash_of(table, p, length, kind))
    if entry == NULL:
        raise MemoryError
    return entry


cdef Entry *live_entry(Table table, const char *p, size_t length, uint8_t kind, uint64_t hash) noexcept nogil:
    """Return the live entry, made if there was none; NULL if there is no memory for it."""
    cdef Entry *entry = find_entry(table, p, length, kind, hash)
    cdef Entry **entries
    if entry != NULL:
        if not entry.live:
            entry.live = 1
            entry.touched = entry.before = entry.partial = 0
            entry.now = 0.0
            table.live_count += 1
            table.newest_name = table.interval
        return entry
    if (table.entry_count + 1) * 2 > table.mask and not rehash(table, (table.mask + 1) * 2):
        return NULL
    if table.entry_count == table.entry_capacity:
        entries = <Entry **>realloc(table.entries, table.entry_capacity * 2 * sizeof(Entry *))
        if entries == NULL:
            return NULL
        table.entries = entries
        table.entry_capacity *= 2
    entry = <Entry *>allocate(table, head_size(kind) + length)
    if entry == NULL:
        return NULL
    memset(entry, 0, head_size(kind))
    entry.hash = hash
    entry.name_length = <uint16_t>length
    entry.kind = kind
    entry.live = 1
    memcpy(name_of(entry), p, length)
    table.entries[table.entry_count] = entry
    table.entry_count += 1
    table.live_count += 1
    table.newest_name = table.interval
    insert_slot(table, entry)
    return entry


cdef void release_data(Entry *entry) noexcept:
    """Free what an entry holds besides itself."""
    cdef void **data
    cdef int i
    if entry.kind == TIMER:
        data = data_of(entry)
        for i in range(2):
            free(data[i])
            data[i] = NULL
    elif entry.kind == SET:
        data = data_of(entry)
        for i in range(2):
            if data[i] != NULL:
                members = <object>data[i]
                # Give back the reference that the entry held.
                Py_DECREF(members)
                data[i] = NULL


cdef void kill_entry(Table table, Entry *entry) noexcept:
    if entry.live:
        entry.live = 0
        entry.touched = entry.before = 0
        release_data(entry)
        table.live_count -= 1


cdef int compact_entries(Table table) except -1:
    """Forget dead entries for good. Only between flushes, and only with nothing dirty."""
    cdef size_t i, kept = 0
    cdef Entry *entry
    cdef char **old_blocks = table.blocks
    cdef size_t old_count = table.block_count
    cdef size_t old_used = table.block_used
    cdef Entry **entries = <Entry **>malloc(table.entry_capacity * sizeof(Entry *))
    if entries == NULL:
        raise MemoryError
    table.blocks = NULL
    table.block_count = 0
    table.block_used = ARENA_BLOCK
    for i in range(table.entry_count):
        entry = table.entries[i]
        if entry.live:
            entries[kept] = <Entry *>allocate(table, head_size(entry.kind) + entry.name_length)
            if entries[kept] == NULL:
                free_blocks(table.blocks, table.block_count)
                free(entries)
                table.blocks, table.block_count, table.block_used = old_blocks, old_count, old_used
                raise MemoryError
            memcpy(entries[kept], entry, head_size(entry.kind) + entry.name_length)
            kept += 1
    free(table.entries)
    table.entries = entries
    table.entry_count = kept
    table.refused_entry = NULL
    memset(table.slots, 0, (table.mask + 1) * sizeof(Slot))
    for i in range(kept):
        insert_slot(table, entries[i])
    free_blocks(old_blocks, old_count)
    return 0


cdef void free_blocks(char **blocks, size_t count) noexcept:
    cdef size_t i
    for i in range(count):
        free(blocks[i])
    free(blocks)
