# The table: all state, and what Python may ask of it. A method's work is done in the part that the comment above names.
# Uses native, layout, text, names; and every part below it, in its methods.
#
# Once the table is made, a field is written by the part under whose name it stands, and by no other but those named.


cdef class Table:
    """All buckets of the interval in progress, and those of the interval that is being flushed."""

    # entries: the hash table, the entries in the order of their making, the arena that holds them.
    cdef Slot *slots
    cdef uint64_t mask
    cdef Entry **entries
    cdef size_t entry_count
    cdef size_t entry_capacity
    cdef size_t live_count
    cdef char **blocks
    cdef size_t block_count
    cdef size_t block_used
    cdef uint64_t seed
    # The last interval in which a bucket was made.
    cdef uint32_t newest_name

    # rules: what the configuration says.
    cdef bint drop_tags
    cdef uint64_t max_buckets
    cdef uint64_t max_values
    cdef uint8_t forget[KINDS]
    cdef uint32_t gauge_flushes
    # Which buckets may be made without asking the reference. Python sets `must_ask`.
    cdef public bint must_ask
    cdef bint may_admit
    cdef bint kinds_meet
    cdef bint histograms
    cdef object admitted
    cdef Piece reserved
    cdef Piece leaves[KINDS][MOST_LEAVES]
    cdef size_t leaf_count[KINDS]

    # parse: the reference's callback, the line that it is looking at, and how many were added or refused, which
    # `note_refusal` counts; Python sets both counts to 0. `compact_entries` forgets `refused_entry`.
    cdef object slow
    cdef const char *line
    cdef public uint64_t metrics
    cdef public uint64_t refused
    cdef Entry *refused_entry

    # touch: the entries touched since the last cut; `cut_partial` empties it.
    cdef Entry **dirty
    cdef size_t dirty_count
    cdef size_t dirty_capacity

    # partial: the records since the last cut; `flush_entry` adds to them what a flush carries over.
    cdef Text partial
    cdef uint32_t cut_number
    cdef double last_cut
    # The next name's number in the interval; `start_flush` sets it to 0.
    cdef uint32_t next_id

    # flush: the interval in progress, and the flush of the one before.
    cdef uint32_t interval
    cdef size_t flush_at
    cdef size_t flush_end
    cdef Names names

    # log: the memory that outlives the process, and how much of it counts; `receive_batch` writes what it received.
    cdef object keep
    cdef uint64_t *word
    cdef uint64_t *packet_word
    cdef uint64_t *announced
    cdef char *staging
    cdef size_t stride
    cdef unsigned int batch
    cdef char *log
    cdef size_t log_size
    cdef mmsghdr *messages
    cdef iovec *vectors
    cdef char *senders
    cdef uint64_t generation
    cdef public uint64_t used
    cdef uint64_t log_packets
    # Where in the log the last batch begins; past its end after lines that came another way.
    cdef uint64_t batch_start

    # receive: counts, of which Python sets the public ones to 0, and how fast datagrams come. Python sets
    # `wants_senders`; `attach_memory` begins anew.
    cdef uint64_t sequence
    cdef unsigned int received
    cdef public uint64_t packets
    cdef public uint64_t truncated
    cdef double rate
    cdef double last_drain
    cdef public bint wants_senders
    cdef bint has_senders

    def __cinit__(self, object slow, uint64_t seed):
        self.slow = slow
        self.seed = seed
        self.mask = 4095
        self.slots = <Slot *>calloc(self.mask + 1, sizeof(Slot))
        self.entry_capacity = 1024
        self.entries = <Entry **>malloc(self.entry_capacity * sizeof(Entry *))
        self.dirty_capacity = 1024
        self.dirty = <Entry **>malloc(self.dirty_capacity * sizeof(Entry *))
        if self.slots == NULL or self.entries == NULL or self.dirty == NULL:
            raise MemoryError
        self.block_used = ARENA_BLOCK
        self.interval = 1
        self.cut_number = 1
        self.max_buckets = self.max_values = 1 << 62
        self.drop_tags = True

    def __dealloc__(self):
        cdef size_t i
        for i in range(self.entry_count):
            release_data(self.entries[i])
        free_blocks(self.blocks, self.block_count)
        free(self.slots)
        free(self.entries)
        free(self.dirty)
        free(self.partial.p)
        free(self.vectors)
        free(self.senders)

    def __len__(self):
        return self.live_count

    # rules

    def configure(self, forget, uint32_t gauge_flushes, uint64_t max_buckets, uint64_t max_values, bint drop_tags):
        """Set what the configuration says; `forget` are codes of kinds whose idle buckets go. Not during a flush."""
        set_rules(self, forget, gauge_flushes, max_buckets, max_values, drop_tags)

    def admit(self, bint may_admit, bytes reserved, dict leaves, bint histograms):
        """Say which new buckets need not be asked for: `naming.PlainConflicts`, its leaves with their dots, by code.

        Without `leaves` no bucket is in another's way. What is too long or too many to be looked at here is asked for.
        """
        set_admission(self, may_admit, reserved, leaves, histograms)

    # parse

    def feed(self, const uint8_t[::1] lines):
        """Add newline-joined lines."""
        cdef const char *p
        cdef const char *end
        if lines.shape[0] == 0:
            return
        p = <const char *>&lines[0]
        end = p + lines.shape[0]
        with nogil:
            feed_lines(self, p, end)

    def pop_refused_name(self):
        """Name a bucket that refused something since the last call: b"" stands for a new one, None for nothing."""
        cdef Entry *entry = self.refused_entry
        self.refused_entry = NULL
        if entry == NULL:
            return None
        return PyBytes_FromStringAndSize(name_of(entry), entry.name_length)

    # buckets: single ones, for the reference's slow way

    def has(self, bytes name, uint8_t kind):
        """Tell whether there is such a bucket."""
        return has_bucket(self, name, kind)

    def delete(self, bytes name, uint8_t kind):
        """Forget a bucket; tell whether there was one."""
        return delete_bucket(self, name, kind)

    def add_counter(self, bytes name, double amount):
        """Add to a counter, made if need be."""
        add_to_counter(self, name, amount)

    def add_timer(self, bytes name, values, double unsent):
        """Add values to a timer; return how many fitted."""
        return add_to_timer(self, name, values, unsent)

    def set_gauge(self, bytes name, double value, bint delta):
        """Set a gauge or add to it."""
        change_gauge(self, name, value, delta)

    def add_members(self, bytes name, members):
        """Put members (bytes) into a set; return how many fitted."""
        return add_to_set(self, name, members)

    def buckets(self):
        """The interval in progress as four dicts with bytes for names, and the timers' unsent counts."""
        return copy_buckets(self)

    # partial

    def serialize_changes(self):
        """Return the records of what changed since the last call, in the form that `datagram_log` reads."""
        return cut_partial(self)

    @property
    def has_changes(self):
        """Whether records wait that are not in the log."""
        return self.partial.n > 0

    @property
    def wants_compaction(self):
        """Whether compacting the log now keeps the next time short."""
        return must_cut(self, gt_now())

    # flush

    def begin_flush(self, Names names):
        """End the interval in progress: `flush_slice` gives its lines. Call `serialize_changes` first."""
        start_flush(self, names)

    def flush_slice(self, size_t most):
        """Return (lines, how many, how many had no finite number, buckets) of about the next `most` buckets.

        None at the end. What the buckets carry into the interval in progress goes into its next cut.
        """
        return next_slice(self, most)

    # log, receive

    def attach(self, memory, dict layout):
        """Receive into `memory`, a writable buffer laid out as `datagram_log` says."""
        attach_memory(self, memory, layout)

    def begin_log(self, uint64_t generation):
        """Go on with an empty log."""
        reset_log(self, generation)

    def receive(self, fds, double seconds, double longest_nap):
        """Receive from the sockets for `seconds`, or until a signal comes.

        Datagrams may queue for `longest_nap` seconds.

        Return True when the log has no room for another batch: compact it, begin it anew, call again.

        What has queued is received by the clock: waking up for each datagram would cost more than all else.
        """
        return receive_for(self, fds, seconds, longest_nap)

    def add(self, const uint8_t[::1] lines):
        """Log and feed lines that came another way; False when the log has no room: compact it and begin it anew."""
        return add_to_log(self, lines)

    def sender(self):
        """The address (struct sockaddr) that sent the line which `slow` is looking at; b"" if it is not known."""
        return sender_of_line(self)
