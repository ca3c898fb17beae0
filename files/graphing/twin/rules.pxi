# Rules: which new buckets may be made without asking the reference, and which idle ones are forgotten.
# Uses native, layout, text, table, entries, touch.
#
# `is_free` says yes only where the reference surely would. Everything else is asked for.


cdef bint is_legal(const char *name, size_t length) noexcept nogil:
    """Tell whether line.is_legal_name() holds."""
    cdef size_t i, segment = 0
    cdef char c
    if length == 0 or length > LONGEST_LEGAL:
        return False
    for i in range(length):
        c = name[i]
        if c == c'.':
            if segment == 0 or segment > 251:
                return False
            segment = 0
        elif (c'a' <= c <= c'z') or (c'A' <= c <= c'Z') or (c'0' <= c <= c'9') or c == c'_' or c == c'-':
            segment += 1
        else:
            return False
    return 0 < segment <= 251


cdef int set_rules(
    Table table, forget, uint32_t gauge_flushes, uint64_t max_buckets, uint64_t max_values, bint drop_tags
) except -1:
    """Do what `Table.configure` says."""
    cdef int kind
    cdef size_t i
    cdef Entry *entry
    cdef bint stricter = gauge_flushes and (not table.gauge_flushes or gauge_flushes < table.gauge_flushes)
    # Under a stricter rule about idle buckets, those that there are begin as if they had just been touched.
    for i in range(table.entry_count):
        entry = table.entries[i]
        if not is_there(table, entry):
            kill_entry(table, entry)
        elif (entry.kind in forget and not table.forget[entry.kind]) or (entry.kind == GAUGE and stricter):
            touch_entry(table, entry)
    for kind in range(KINDS):
        table.forget[kind] = kind in forget
    table.gauge_flushes = gauge_flushes
    table.max_buckets = max_buckets
    table.max_values = max_values
    table.drop_tags = drop_tags
    return 0


cdef int set_admission(Table table, bint may_admit, bytes reserved, dict leaves, bint histograms) except -1:
    """Do what `Table.admit` says."""
    cdef uint8_t kind
    cdef size_t i
    table.may_admit = may_admit and all(
        len(own) <= MOST_LEAVES and all(len(leaf) <= LONGEST_LEAF for leaf in own) for own in leaves.values()
    )
    table.kinds_meet = bool(leaves)
    table.histograms = histograms
    table.admitted = reserved, leaves
    table.reserved = piece(reserved)
    for kind in range(KINDS):
        own = leaves.get(kind, ()) if table.may_admit else ()
        table.leaf_count[kind] = len(own)
        for i, leaf in enumerate(own):
            table.leaves[kind][i] = piece(leaf)
    return 0


cdef inline bint knows(Table table, const char *name, size_t length, uint8_t kind) noexcept nogil:
    return is_there(table, find_entry(table, name, length, kind, hash_of(table, name, length, kind)))


cdef bint is_free(Table table, const char *name, size_t length, uint8_t kind) noexcept nogil:
    """Tell that nothing is against a new bucket. If that is not certain, False: the reference is to be asked."""
    cdef char longer[LONGEST_LEGAL + LONGEST_LEAF]
    cdef Piece leaf
    cdef uint8_t other
    cdef size_t i
    if table.must_ask or not table.may_admit or table.live_count >= table.max_buckets or not is_legal(name, length):
        return False
    if not table.kinds_meet:
        return True
    leaf = table.reserved
    if leaf.n and length >= leaf.n and memcmp(name, leaf.p, leaf.n) == 0:
        return False
    for other in range(KINDS):
        if other != kind and knows(table, name, length, other):
            return False
    if kind == GAUGE:
        return not may_be_leaf(table, name, length)
    if kind == TIMER and table.histograms:
        return False
    memcpy(longer, name, length)
    for i in range(table.leaf_count[kind]):
        leaf = table.leaves[kind][i]
        memcpy(longer + length, leaf.p, leaf.n)
        if knows(table, longer, length + leaf.n, GAUGE):
            return False
    return True


cdef bint may_be_leaf(Table table, const char *name, size_t length) noexcept nogil:
    """Tell whether a bucket of another kind may have this name as one of its leaves."""
    cdef Piece leaf
    cdef uint8_t kind
    cdef size_t i
    if table.histograms:
        return True
    for kind in range(KINDS):
        for i in range(table.leaf_count[kind]):
            leaf = table.leaves[kind][i]
            if length > leaf.n and memcmp(name + length - leaf.n, leaf.p, leaf.n) == 0:
                if knows(table, name, length - leaf.n, kind):
                    return True
    return False
