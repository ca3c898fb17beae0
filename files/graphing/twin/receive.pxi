# Receiving: what waits in the sockets is received in batches, by the clock.
# Uses native, table, parse, partial, log.

cdef enum:
    FDS = 16

# How many datagrams may queue before they are received together: a few of them,
cdef double FEW = 4.0
# where many come, what comes in so many seconds,
cdef double GATHER = 0.002
# but no more than so many of them; and where hardly any come there is nothing to gather.
cdef double ENOUGH = 512.0
cdef double SPARSE = 10.0


cdef unsigned int receive_batch(Table table, int fd) noexcept nogil:
    """Receive what waits, up to a batch; note it in the log; feed it."""
    cdef unsigned int i
    cdef int n
    cdef size_t length
    cdef char *p
    cdef char *start = table.log + table.used
    if table.wants_senders != table.has_senders:
        ask_for_senders(table)
    for i in range(table.received):
        table.messages[i].msg_len = 0
        if table.has_senders:
            table.messages[i].msg_hdr.msg_namelen = NAME_ROOM
    table.received = 0
    gt_store(table.announced, table.sequence + 1)
    n = recvmmsg(fd, table.messages, table.batch, MSG_DONTWAIT, NULL)
    if n <= 0:
        return 0
    table.received = n
    table.batch_start = table.used
    p = start
    for i in range(<unsigned int>n):
        length = table.messages[i].msg_len
        memcpy(p, table.vectors[i].iov_base, length)
        if table.messages[i].msg_hdr.msg_flags & MSG_TRUNC:
            # The end is missing; what is left of its line could pass for a whole one.
            while length > 0 and p[length - 1] != c'\n':
                length -= 1
            table.messages[i].msg_len = <unsigned int>length
            table.truncated += 1
        p += length
        p[0] = c'\n'
        p += 1
    table.used += p - start
    table.sequence += 1
    table.packets += n
    table.log_packets += n
    publish_packets(table)
    publish_log(table)
    feed_lines(table, start, p)
    return n


cdef void ask_for_senders(Table table) noexcept nogil:
    """Let the kernel note who sent each datagram, or not: it adds to the cost of receiving."""
    cdef unsigned int i
    table.has_senders = table.wants_senders
    for i in range(table.batch):
        table.messages[i].msg_hdr.msg_name = table.senders + i * NAME_ROOM if table.has_senders else NULL
        table.messages[i].msg_hdr.msg_namelen = NAME_ROOM if table.has_senders else 0


cdef bint receive_for(Table table, fds, double seconds, double longest_nap) except -1:
    """Do what `Table.receive` says."""
    cdef pollfd polls[FDS]
    cdef unsigned int count = 0, n
    cdef size_t most = table.batch * (table.stride + 1)
    cdef double end = gt_now() + seconds
    cdef double now, nap
    cdef uint64_t got
    cdef bint full = False
    cdef int ready
    for fd in fds[:FDS]:
        polls[count].fd = fd
        polls[count].events = POLLIN
        count += 1
    with nogil:
        while True:
            got = 0
            for i in range(count):
                while True:
                    full = is_full(table, most)
                    if full:
                        break
                    n = receive_batch(table, polls[i].fd)
                    got += n
                    now = gt_now()
                    if n < table.batch or now >= end or must_cut(table, now):
                        break
                if full:
                    break
            now = gt_now()
            if full or now >= end or must_cut(table, now):
                break
            if got == 0:
                ready = poll(polls, count, <int>((end - now) * 1000) + 1)
                if ready <= 0:
                    break
                table.last_drain = now
                now = gt_now()
            else:
                measure_rate(table, got, now)
            nap = min(nap_seconds(table, longest_nap), end - now)
            if nap > 0 and gt_nap(nap) != 0:
                break
    return full


cdef void measure_rate(Table table, uint64_t got, double now) noexcept nogil:
    """Bring the rate up to date, datagrams a second."""
    cdef double elapsed = now - table.last_drain
    table.last_drain = now
    if elapsed > 1e-6:
        table.rate += 0.3 * (got / elapsed - table.rate)


cdef double nap_seconds(Table table, double longest) noexcept nogil:
    """How long to let datagrams queue: a few hundred of them, but no longer than anyone would notice.

    Where they come singly there is nothing to gather: each is waited for.
    """
    if table.rate <= SPARSE:
        return 0.0
    if table.rate <= FEW / GATHER:
        return min(longest, FEW / table.rate)
    return min(GATHER, max(0.0005, ENOUGH / table.rate))


cdef bytes sender_of_line(Table table):
    """Do what `Table.sender` says."""
    cdef uint64_t offset
    cdef uint64_t at = table.batch_start
    cdef unsigned int i
    if not table.has_senders or table.line < table.log + table.batch_start or table.line >= table.log + table.used:
        return b""
    offset = table.line - table.log
    for i in range(table.received):
        at += table.messages[i].msg_len + 1
        if offset < at:
            return PyBytes_FromStringAndSize(table.senders + i * NAME_ROOM, NAME_ROOM)
    return b""
