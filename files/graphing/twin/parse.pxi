# Parsing: lines are taken apart, looked up and added, in groups, so that the waits for memory overlap.
# Uses native, layout, number, table, entries, touch, rules.
#
# Lines take effect in their order: a line that the reference must look at goes to it in the middle of its group.

cdef enum:
    UNUSUAL = 255
    GROUP = 32


cdef struct Token:
    const char *line
    const char *end
    const char *value
    const char *value_end
    const char *rate
    const char *rate_end
    uint64_t hash
    uint32_t name_length
    uint8_t kind


cdef inline void tokenise_line(Table table, const char *line, const char *end, Token *token) noexcept nogil:
    """Take a usual line apart; mark every other as unusual."""
    cdef const char *colon = <const char *>memchr(line, c':', end - line)
    cdef const char *p
    token.line = line
    token.end = end
    token.kind = UNUSUAL
    token.rate = NULL
    if colon == NULL or colon == line:
        return
    p = colon + 1
    token.value = p
    while p < end and p[0] != c'|' and p[0] != c':':
        p += 1
    if p >= end or p[0] != c'|':
        return
    token.value_end = p
    p += 1
    if p >= end:
        return
    if p[0] == c'c':
        token.kind = COUNTER
    elif p[0] == c'g':
        token.kind = GAUGE
    elif p[0] == c's':
        token.kind = SET
    elif p[0] == c'h' or p[0] == c'd':
        token.kind = TIMER
    elif p[0] == c'm':
        token.kind = TIMER
        if p + 1 < end and p[1] == c's':
            p += 1
    else:
        return
    p += 1
    if p < end:
        if p[0] != c'|':
            token.kind = UNUSUAL
            return
        p += 1
        if p < end and p[0] == c'@':
            p += 1
            token.rate = p
            while p < end and ((c'0' <= p[0] <= c'9') or p[0] == c'.'):
                p += 1
            token.rate_end = p
            if p < end and p[0] == c'|':
                p += 1
                if p >= end:
                    token.kind = UNUSUAL
                    return
        if p < end and not (p[0] == c'#' and table.drop_tags and memchr(p, c'|', end - p) == NULL):
            token.kind = UNUSUAL
            return
        if p >= end and token.rate == NULL:
            token.kind = UNUSUAL
            return
    if token.rate != NULL and (token.kind == GAUGE or token.kind == SET):
        token.kind = UNUSUAL
        return
    token.name_length = <uint32_t>(colon - line)
    if colon - line > LARGEST_NAME:
        token.kind = UNUSUAL
        return
    token.hash = hash_of(table, line, token.name_length, token.kind)


cdef bint cut_tags(Table table, Token *token) noexcept nogil:
    """Shorten a name by the tags of InfluxDB or Graphite that are in it, if they are dropped; tell if there are any."""
    cdef const char *end = token.line + token.name_length
    cdef const char *p = token.line
    # Few names have a `=`.
    if not table.drop_tags or memchr(p, c'=', token.name_length) == NULL:
        return False
    while p < end and p[0] != c',' and p[0] != c';':
        p += 1
    if p == end or memchr(p, c'=', end - p) == NULL:
        return False
    token.name_length = <uint32_t>(p - token.line)
    token.hash = hash_of(table, token.line, token.name_length, token.kind)
    return True


cdef Entry *admitted_entry(Table table, Token *token) noexcept nogil:
    """Return a bucket for a name that is new or had been forgotten; NULL if the reference must look at it."""
    if not is_free(table, token.line, token.name_length, token.kind):
        return NULL
    return live_entry(table, token.line, token.name_length, token.kind, token.hash)


cdef inline bint apply_token(Table table, Token *token) noexcept nogil:
    """Add a usual line to its bucket; False if the reference must look at it."""
    cdef Entry *entry
    cdef double value, rate = 1.0
    if token.kind == SET:
        return False
    if not read_number(token.value, token.value_end, &value):
        return False
    if token.rate != NULL and (
        not read_number(token.rate, token.rate_end, &rate) or rate <= 0.0 or rate > 1.0
    ):
        return False
    entry = find_entry(table, token.line, token.name_length, token.kind, token.hash)
    if not may_be_touched(table, entry):
        if cut_tags(table, token):
            entry = find_entry(table, token.line, token.name_length, token.kind, token.hash)
        if not may_be_touched(table, entry):
            if entry == NULL and table.live_count >= table.max_buckets and is_legal(token.line, token.name_length):
                note_refusal(table, NULL)
                return True
            entry = admitted_entry(table, token)
            if entry == NULL:
                return False
    touch_entry(table, entry)
    if token.kind == COUNTER:
        entry.now += value / rate
    elif token.kind == TIMER:
        if not append_value(table, entry, value):
            note_refusal(table, entry)
            return True
        if rate < 1.0:
            entry.now += 1.0 / rate - 1.0
    elif token.value[0] == c'+' or token.value[0] == c'-':
        entry.now += value
    else:
        entry.now = value
    table.metrics += 1
    return True


cdef inline bint apply_set_token(Table table, Token *token) noexcept:
    """Add a usual line of a set; False if the reference must look at it."""
    cdef Entry *entry = find_entry(table, token.line, token.name_length, SET, token.hash)
    if not may_be_touched(table, entry) and cut_tags(table, token):
        entry = find_entry(table, token.line, token.name_length, SET, token.hash)
    if not may_be_touched(table, entry):
        entry = admitted_entry(table, token)
        if entry == NULL:
            return False
    touch_entry(table, entry)
    members = set_of(entry)
    member = PyBytes_FromStringAndSize(token.value, token.value_end - token.value)
    if member not in members:
        if <uint64_t>len(members) >= table.max_values:
            note_refusal(table, entry)
            return True
        members.add(member)
    table.metrics += 1
    return True


cdef void ask_reference(Table table, Token *token) noexcept with gil:
    if token.kind == SET and apply_set_token(table, token):
        return
    table.line = token.line
    table.slow(PyBytes_FromStringAndSize(token.line, token.end - token.line))
    table.line = NULL


cdef void feed_lines(Table table, const char *p, const char *end) noexcept nogil:
    cdef Token tokens[GROUP]
    cdef const char *line_end
    cdef int n, i
    while p < end:
        n = 0
        while p < end and n < GROUP:
            line_end = <const char *>memchr(p, c'\n', end - p)
            if line_end == NULL:
                line_end = end
            if line_end != p:
                tokenise_line(table, p, line_end, &tokens[n])
                if tokens[n].kind != UNUSUAL:
                    gt_prefetch(&table.slots[tokens[n].hash & table.mask])
                n += 1
            p = line_end + 1
        for i in range(n):
            if tokens[i].kind != UNUSUAL:
                gt_prefetch(table.slots[tokens[i].hash & table.mask].entry)
        for i in range(n):
            if tokens[i].kind == UNUSUAL or not apply_token(table, &tokens[i]):
                ask_reference(table, &tokens[i])
