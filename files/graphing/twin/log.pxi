# The log of datagrams: memory that outlives the process, laid out as `datagram_log` says.
# Uses native, table, parse.
#
# First the bytes are there, then one store says that they count: `word`, `packet_word` and `announced` are written by
# `gt_store` alone. So a crash at any instruction leaves each datagram in the log or in its slot, never in neither.

cdef enum:
    # Bytes for a sender's address.
    NAME_ROOM = 32


cdef int attach_memory(Table table, memory, dict layout) except -1:
    """Do what `Table.attach` says."""
    cdef uint8_t[::1] view = memory
    cdef unsigned int i
    cdef char *start = <char *>&view[0]
    table.has_senders = False
    free(table.vectors)
    free(table.senders)
    table.vectors = NULL
    table.senders = NULL
    table.keep = view
    table.word = <uint64_t *>(start + <size_t>layout["word"])
    table.announced = <uint64_t *>(start + <size_t>layout["announced"])
    table.packet_word = <uint64_t *>(start + <size_t>layout["packets"])
    table.batch = layout["slots"]
    table.stride = layout["slot_size"]
    table.staging = start + <size_t>layout["staging"]
    table.log = start + <size_t>layout["log"]
    table.log_size = layout["log_size"]
    # The kernel writes each length into the shared memory too: after a crash it says what had come in.
    table.messages = <mmsghdr *>(start + <size_t>layout["messages"])
    table.vectors = <iovec *>calloc(table.batch, sizeof(iovec))
    table.senders = <char *>calloc(table.batch, NAME_ROOM)
    if table.vectors == NULL or table.senders == NULL:
        raise MemoryError
    for i in range(table.batch):
        table.vectors[i].iov_base = table.staging + i * table.stride
        table.vectors[i].iov_len = table.stride
        memset(&table.messages[i], 0, sizeof(mmsghdr))
        table.messages[i].msg_hdr.msg_iov = &table.vectors[i]
        table.messages[i].msg_hdr.msg_iovlen = 1
    table.received = 0
    return 0


cdef void reset_log(Table table, uint64_t generation) noexcept:
    """Do what `Table.begin_log` says."""
    table.generation = generation
    table.used = 0
    table.log_packets = 0
    publish_packets(table)
    publish_log(table)


cdef inline void publish_packets(Table table) noexcept nogil:
    """Say in one store how many datagrams the log holds and up to which batch they are counted."""
    gt_store(table.packet_word, table.log_packets << 16 | (table.sequence & 0xFFFF))


cdef inline void publish_log(Table table) noexcept nogil:
    """Say in one store how much of the log counts and that the staged datagrams are in it."""
    gt_store(table.word, table.used << 32 | (table.generation & 0xFFFF) << 16 | (table.sequence & 0xFFFF))


cdef inline bint is_full(Table table, size_t size) noexcept nogil:
    return table.used + size > table.log_size


cdef bint add_to_log(Table table, const uint8_t[::1] lines) except -1:
    """Do what `Table.add` says."""
    cdef size_t size = lines.shape[0]
    cdef char *start = table.log + table.used
    if size == 0:
        return True
    if is_full(table, size + 1):
        return False
    memcpy(start, &lines[0], size)
    start[size] = c'\n'
    table.used += size + 1
    publish_log(table)
    # These have no sender.
    table.batch_start = table.log_size
    with nogil:
        feed_lines(table, start, start + size)
    return True
