# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The compiled twin of the hot loop: receive in batches, parse, aggregate, render.

`graphing.statsd.engine.compiled` wraps it; `graphing.statsd.model.reference` is the reference that it equals. Only the usual
forms of a line are handled here; every other line, and every new bucket that a rule may be against, goes to the
reference's code through the callback `slow`, in its turn, so that the order of lines is kept.

A bucket is an entry in an arena, found through a hash table of our own. Lines are handled in groups: all names of a
group are hashed first and their memory is asked for, then they are looked up; with many buckets, waiting for memory
is most of the work, and so the waits overlap.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.math cimport fabs, floor, isfinite, sqrt, INFINITY
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, qsort, realloc
from libc.string cimport memchr, memcmp, memcpy, memset

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <poll.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/socket.h>
    #include <time.h>

    static const double POWERS_OF_10[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
                                          1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

    static inline uint64_t gt_mix(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }

    /* A keyed hash: a sender can't choose names that collide. */
    static inline uint64_t gt_hash(const char *p, size_t n, uint64_t seed) {
        uint64_t h = seed ^ (n * 0x9E3779B97F4A7C15ull), word;
        while (n >= 8) {
            memcpy(&word, p, 8);
            h = gt_mix(h ^ word, 0xA0761D6478BD642Full ^ seed);
            p += 8;
            n -= 8;
        }
        if (n) {
            word = 0;
            memcpy(&word, p, n);
            h = gt_mix(h ^ word, 0xE7037ED1A0B428DBull ^ seed);
        }
        h ^= h >> 32;
        return h ? h : 1;
    }

    #define gt_prefetch(address) __builtin_prefetch(address)

    /* Stores that a crash of the process may not find in another order. */
    static inline void gt_store(uint64_t *where, uint64_t value) {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        __atomic_store_n(where, value, __ATOMIC_RELEASE);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }

    static inline double gt_now(void) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    }

    static inline int gt_nap(double seconds) {
        struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
        return nanosleep(&t, NULL);
    }
    """
    const double POWERS_OF_10[23]
    uint64_t gt_hash(const char *p, size_t n, uint64_t seed) noexcept nogil
    void gt_prefetch(const void *address) noexcept nogil
    void gt_store(uint64_t *where, uint64_t value) noexcept nogil
    double gt_now() noexcept nogil
    int gt_nap(double seconds) noexcept nogil
    ctypedef struct iovec "struct iovec":
        void *iov_base
        size_t iov_len
    ctypedef struct msghdr "struct msghdr":
        void *msg_name
        uint32_t msg_namelen
        iovec *msg_iov
        size_t msg_iovlen
        int msg_flags
    ctypedef struct mmsghdr "struct mmsghdr":
        msghdr msg_hdr
        unsigned int msg_len
    ctypedef struct pollfd "struct pollfd":
        int fd
        short events
        short revents
    int MSG_DONTWAIT
    int MSG_TRUNC
    short POLLIN
    int recvmmsg(int fd, mmsghdr *messages, unsigned int n, int flags, void *timeout) noexcept nogil
    int poll(pollfd *fds, unsigned long n, int milliseconds) noexcept nogil

cdef extern from "Python.h":
    char *PyOS_double_to_string(double value, char code, int precision, int flags, int *kind)

cdef enum:
    COUNTER = 0
    TIMER = 1
    GAUGE = 2
    SET = 3
    UNUSUAL = 255
    KINDS = 4

    GROUP = 32
    ARENA_BLOCK = 1048576
    LARGEST_NAME = 60000
    # line.MAX_NAME, which is_legal knows.
    LONGEST_LEGAL = 1024
    MOST_LEAVES = 128
    LONGEST_LEAF = 64
    NAME_ROOM = 32
    FDS = 16
    KEPT_CAPACITY = 262144
    # A cut of so many buckets takes two milliseconds.
    MOST_DIRTY = 8192
    # Bytes of records that a flush may leave for the next cut.
    MOST_PARTIAL = 131072

# How many datagrams may queue before they are received together: a few of them,
cdef double FEW = 4.0
# where many come, what comes in so many seconds,
cdef double GATHER = 0.002
# but no more than so many of them; and where hardly any come there is nothing to gather.
cdef double ENOUGH = 512.0
cdef double SPARSE = 10.0
# At full speed cuts are no closer than so many seconds, or their files would grow too fast.
cdef double CUT_PAUSE = 0.05

KIND_CODES = {"counters": COUNTER, "timers": TIMER, "gauges": GAUGE, "sets": SET}


cdef struct Values:
    uint32_t n
    uint32_t capacity
    # How many are in the last cut already.
    uint32_t cut
    double v[1]


cdef struct Entry:
    uint64_t hash
    uint16_t name_length
    uint8_t kind
    uint8_t live
    # The cut since which it was touched.
    uint32_t cut
    # The interval in which it was touched last, and the one before that; 0 is none.
    uint32_t touched
    uint32_t before
    # The interval whose partial result has its name, under the number `id`.
    uint32_t partial
    uint32_t id
    # In interval `touched`: a counter's sum, a gauge's value, a timer's events that clients did not send.
    double now
    # The same in interval `before`; for a gauge its value when interval `touched` began.
    double then
    # A timer's Values and a set's Python set follow, two pointers (now, then); then the name.


cdef struct Slot:
    uint64_t hash
    Entry *entry


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


cdef struct Text:
    char *p
    size_t n
    size_t capacity


cdef inline size_t head_size(uint8_t kind) noexcept nogil:
    return sizeof(Entry) + (2 * sizeof(void *) if kind == TIMER or kind == SET else 0)


cdef inline char *name_of(Entry *entry) noexcept nogil:
    return <char *>entry + head_size(entry.kind)


cdef inline void **data_of(Entry *entry) noexcept nogil:
    return <void **>(<char *>entry + sizeof(Entry))


cdef inline bint read_number(const char *p, const char *end, double *result) noexcept nogil:
    """Read a plain decimal of at most 15 digits, exactly as float() does; False for every other."""
    cdef uint64_t mantissa = 0
    cdef int digits = 0, fraction = 0
    cdef bint negative = False
    cdef double value
    if p < end and (p[0] == c'-' or p[0] == c'+'):
        negative = p[0] == c'-'
        p += 1
    while p < end and <uint8_t>(p[0] - c'0') < 10:
        mantissa = mantissa * 10 + <uint8_t>(p[0] - c'0')
        digits += 1
        p += 1
        if digits > 15:
            return False
    if p < end and p[0] == c'.':
        p += 1
        while p < end and <uint8_t>(p[0] - c'0') < 10:
            mantissa = mantissa * 10 + <uint8_t>(p[0] - c'0')
            fraction += 1
            digits += 1
            p += 1
            if digits > 15:
                return False
    if p != end or digits == 0:
        return False
    # Both are exact in a double, so that the division rounds correctly.
    value = <double>mantissa
    if fraction:
        value /= POWERS_OF_10[fraction]
    result[0] = -value if negative else value
    return True


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


cdef int compare(const void *a, const void *b) noexcept nogil:
    cdef double x = (<const double *>a)[0], y = (<const double *>b)[0]
    return (x > y) - (x < y)


cdef void sort(double *v, size_t n) noexcept nogil:
    cdef size_t i, j
    cdef double x
    if n > 24:
        qsort(v, n, sizeof(double), compare)
        return
    for i in range(1, n):
        x = v[i]
        j = i
        while j > 0 and v[j - 1] > x:
            v[j] = v[j - 1]
            j -= 1
        v[j] = x


cdef struct Sum:
    int n
    bint overflow
    double part[64]


cdef inline void sum_add(Sum *s, double x) noexcept nogil:
    """Add x without loss (Shewchuk, 1997), as math.fsum does."""
    cdef int i = 0, j
    cdef double y, high, low, swap
    for j in range(s.n):
        y = s.part[j]
        if fabs(x) < fabs(y):
            swap = x
            x = y
            y = swap
        high = x + y
        low = y - (high - x)
        if low != 0.0:
            s.part[i] = low
            i += 1
        x = high
    if not isfinite(x):
        s.overflow = True
        x = 0.0
    s.n = i
    if x != 0.0:
        s.part[i] = x
        s.n = i + 1


cdef double sum_result(Sum *s) noexcept nogil:
    """The sum, rounded once; infinity if it overflowed."""
    cdef int n = s.n
    cdef double high = 0.0, low = 0.0, x, y
    if s.overflow:
        return INFINITY
    if n > 0:
        n -= 1
        high = s.part[n]
        while n > 0:
            x = high
            n -= 1
            y = s.part[n]
            high = x + y
            low = y - (high - x)
            if low != 0.0:
                break
        # Halfway cases go the way that the remaining parts point to.
        if n > 0 and ((low < 0.0 and s.part[n - 1] < 0.0) or (low > 0.0 and s.part[n - 1] > 0.0)):
            y = low * 2.0
            x = high + y
            if y == x - high:
                high = x
    return high


cdef double sum_of(const double *v, size_t n) noexcept nogil:
    cdef Sum s
    cdef size_t i
    s.n = 0
    s.overflow = False
    for i in range(n):
        sum_add(&s, v[i])
    return sum_result(&s)


cdef double squares_of(const double *v, size_t n, double mean) noexcept nogil:
    """The sum of the squared distances from `mean`."""
    cdef Sum s
    cdef size_t i
    s.n = 0
    s.overflow = False
    for i in range(n):
        sum_add(&s, (v[i] - mean) * (v[i] - mean))
    return sum_result(&s)


cdef int reserve(Text *text, size_t n) except -1:
    cdef char *p
    cdef size_t capacity
    if text.n + n <= text.capacity:
        return 0
    capacity = text.capacity + text.capacity // 2 + n
    p = <char *>realloc(text.p, capacity)
    if p == NULL:
        raise MemoryError
    text.p = p
    text.capacity = capacity
    return 0


cdef inline void put(Text *text, const char *p, size_t n) noexcept nogil:
    memcpy(text.p + text.n, p, n)
    text.n += n


cdef inline void put_bytes(Text *text, bytes b) noexcept:
    put(text, PyBytes_AS_STRING(b), PyBytes_GET_SIZE(b))


cdef size_t digits_of(uint64_t value, char *out) noexcept nogil:
    """Write the digits to the end of a buffer of 20; return how many."""
    cdef size_t n = 0
    while True:
        n += 1
        out[20 - n] = <char>(c'0' + value % 10)
        value //= 10
        if value == 0:
            return n


cdef int put_number(Text *text, double value) except -1:
    """Write a finite number as line.format_number() does: the shortest text that reads back as the same double."""
    cdef double size = fabs(value), scaled
    cdef uint64_t whole
    cdef char digits[20]
    cdef size_t n
    cdef int places
    cdef char *shortest
    cdef size_t length
    if size < 1e15:
        if size == floor(size):
            if value < 0:
                put(text, b"-", 1)
            n = digits_of(<uint64_t>size, digits)
            put(text, digits + 20 - n, n)
            return 0
        if size >= 1e-4:
            for places in range(1, 7):
                scaled = floor(size * POWERS_OF_10[places] + 0.5)
                if scaled >= 1e15:
                    break
                # Fewer than 16 digits that read back as the value are the shortest ones.
                if scaled / POWERS_OF_10[places] == size:
                    if value < 0:
                        put(text, b"-", 1)
                    whole = <uint64_t>scaled
                    n = digits_of(whole, digits)
                    if n <= <size_t>places:
                        memset(digits, c'0', 20 - n)
                        n = places + 1
                    put(text, digits + 20 - n, n - places)
                    put(text, b".", 1)
                    put(text, digits + 20 - places, places)
                    return 0
    shortest = PyOS_double_to_string(value, c'r', 0, 0, NULL)
    if shortest == NULL:
        raise MemoryError
    length = 0
    while shortest[length]:
        length += 1
    put(text, shortest, length)
    PyMem_Free(shortest)
    return 0


cdef struct Piece:
    const char *p
    size_t n


cdef Piece piece(bytes text) noexcept:
    cdef Piece result
    result.p = PyBytes_AS_STRING(text)
    result.n = PyBytes_GET_SIZE(text)
    return result


cdef class Names:
    """How the lines of one flush are written: the namespace, the percentiles, the interval's length and end."""

    cdef object keep
    cdef bint tags
    cdef bint counts
    cdef Piece count_before, count_after, rate_before, rate_after, timer_before, timer_after
    cdef Piece gauge_before, gauge_after, set_before, set_after, stamp
    cdef Piece leaves[9]
    cdef object percentiles
    cdef object histogram
    cdef double seconds
    cdef size_t lines
    cdef size_t not_finite
    cdef size_t values

    def __init__(self, affixes, leaves, percentiles, histogram, double seconds, bytes stamp, bint tags):
        """Take pairs of bytes: (before, after) of count (or None), rate, timer, gauge, set; the leaves in `timer`'s
        order; (percentile, five leaves) for each percentile; `histogram(name, values) -> [(leaf, number)]` or None;
        and b" STAMP\\n".
        """
        cdef int i
        self.keep = (affixes, leaves, percentiles, stamp)
        self.counts = affixes[0] is not None
        if self.counts:
            self.count_before, self.count_after = piece(affixes[0][0]), piece(affixes[0][1])
        self.rate_before, self.rate_after = piece(affixes[1][0]), piece(affixes[1][1])
        self.timer_before, self.timer_after = piece(affixes[2][0]), piece(affixes[2][1])
        self.gauge_before, self.gauge_after = piece(affixes[3][0]), piece(affixes[3][1])
        self.set_before, self.set_after = piece(affixes[4][0]), piece(affixes[4][1])
        for i in range(9):
            self.leaves[i] = piece(leaves[i])
        self.percentiles = percentiles
        self.histogram = histogram
        self.seconds = seconds
        self.stamp = piece(stamp)
        self.tags = tags

    cdef int line(
        self, Text *out, Piece *before, const char *name, size_t length, Piece *leaf, Piece *after, double value
    ) except -1:
        cdef size_t path = length
        cdef const char *tags
        if not isfinite(value):
            self.not_finite += 1
            return 0
        reserve(out, before.n + length + after.n + self.stamp.n + 64 + (leaf.n if leaf != NULL else 0))
        if self.tags:
            tags = <const char *>memchr(name, c';', length)
            if tags != NULL:
                path = tags - name
        put(out, before.p, before.n)
        put(out, name, path)
        if leaf != NULL:
            put(out, leaf.p, leaf.n)
        put(out, after.p, after.n)
        put(out, name + path, length - path)
        put(out, b" ", 1)
        put_number(out, value)
        put(out, self.stamp.p, self.stamp.n)
        self.lines += 1
        return 0

    cdef int counter(self, Text *out, const char *name, size_t length, double value) except -1:
        if self.counts:
            self.line(out, &self.count_before, name, length, NULL, &self.count_after, value)
        self.line(out, &self.rate_before, name, length, NULL, &self.rate_after, value / self.seconds)
        return 0

    cdef int gauge(self, Text *out, const char *name, size_t length, double value) except -1:
        return self.line(out, &self.gauge_before, name, length, NULL, &self.gauge_after, value)

    cdef int members(self, Text *out, const char *name, size_t length, size_t count) except -1:
        return self.line(out, &self.set_before, name, length, NULL, &self.set_after, <double>count)

    cdef int leaf(self, Text *out, const char *name, size_t length, int i, double value) except -1:
        return self.line(out, &self.timer_before, name, length, &self.leaves[i], &self.timer_after, value)

    cdef int timer(self, Text *out, const char *name, size_t length, Values *values, double unsent) except -1:
        """Write what timers.summary() gives."""
        cdef uint32_t n = 0 if values == NULL else values.n
        cdef double count = n + unsent
        cdef double total, squares, mean
        cdef double *v
        self.leaf(out, name, length, 0, count)
        self.leaf(out, name, length, 1, count / self.seconds)
        if n == 0:
            return 0
        self.values = n
        v = values.v
        if self.histogram is not None:
            for leaf, number in self.histogram(PyBytes_FromStringAndSize(name, length), [v[i] for i in range(n)]):
                self.extra(out, name, length, leaf, number)
        sort(v, n)
        total, squares = sum_of(v, n), squares_of(v, n, 0.0)
        mean = total / n
        self.leaf(out, name, length, 2, total)
        self.leaf(out, name, length, 3, squares)
        self.leaf(out, name, length, 4, mean)
        self.leaf(out, name, length, 5, v[n // 2] if n % 2 else (v[n // 2 - 1] + v[n // 2]) / 2)
        self.leaf(out, name, length, 6, v[0])
        self.leaf(out, name, length, 7, v[n - 1])
        self.leaf(out, name, length, 8, sqrt(squares_of(v, n, mean) / n))
        for percentile, leaves in self.percentiles:
            self.percentile(out, name, length, v, n, percentile, leaves)
        return 0

    cdef int extra(self, Text *out, const char *name, size_t length, bytes leaf, double value) except -1:
        cdef Piece written = piece(leaf)
        return self.line(out, &self.timer_before, name, length, &written, &self.timer_after, value)

    cdef int percentile(
        self, Text *out, const char *name, size_t length, double *v, uint32_t n, double percentile, tuple leaves
    ) except -1:
        cdef size_t kept = 1 if n == 1 else min(n, <size_t>floor(fabs(percentile) / 100 * n + 0.5))
        cdef double total
        if kept == 0:
            return 0
        if percentile < 0:
            v += n - kept
        total = sum_of(v, kept)
        self.extra(out, name, length, leaves[0], <double>kept)
        self.extra(out, name, length, leaves[1], total / kept)
        self.extra(out, name, length, leaves[2], v[0] if percentile < 0 else v[kept - 1])
        self.extra(out, name, length, leaves[3], total)
        self.extra(out, name, length, leaves[4], squares_of(v, kept, 0.0))
        return 0


cdef class Table:
    """All buckets of the interval in progress, and those of the interval that is being flushed."""

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
    cdef uint32_t interval
    cdef uint32_t newest_name
    cdef object slow
    cdef bint drop_tags
    cdef uint64_t max_buckets
    cdef uint64_t max_values

    # Which buckets may be made without asking the reference, see `admit`.
    cdef public bint must_ask
    cdef bint may_admit
    cdef bint kinds_meet
    cdef bint histograms
    cdef object admitted
    cdef Piece reserved
    cdef Piece leaves[KINDS][MOST_LEAVES]
    cdef size_t leaf_count[KINDS]

    # What became of what was fed since the last call of take_counts().
    cdef public uint64_t metrics
    cdef public uint64_t refused
    cdef Entry *refused_entry

    # Entries touched since the last cut.
    cdef Entry **dirty
    cdef size_t dirty_count
    cdef size_t dirty_capacity
    cdef uint32_t cut_number
    cdef double last_cut
    cdef uint32_t next_id
    cdef Text partial

    # The flush in progress.
    cdef size_t flush_at
    cdef size_t flush_end
    cdef Names names
    cdef uint8_t forget[KINDS]
    cdef uint32_t gauge_flushes

    # Receiving.
    cdef uint64_t *packet_word
    cdef char *staging
    cdef size_t stride
    cdef unsigned int batch
    cdef char *log
    cdef size_t log_size
    cdef mmsghdr *messages
    cdef iovec *vectors
    cdef char *senders
    cdef public bint wants_senders
    cdef bint has_senders
    cdef unsigned int received
    cdef object keep
    cdef public uint64_t packets
    cdef uint64_t log_packets
    cdef public uint64_t truncated
    cdef uint64_t sequence
    cdef uint64_t generation
    cdef public uint64_t used
    cdef uint64_t *word
    cdef uint64_t *announced
    cdef double rate
    cdef double last_drain
    cdef uint64_t batch_start
    cdef const char *line

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
            self.release(self.entries[i])
        self.free_blocks(self.blocks, self.block_count)
        free(self.slots)
        free(self.entries)
        free(self.dirty)
        free(self.partial.p)
        free(self.vectors)
        free(self.senders)

    def __len__(self):
        return self.live_count

    def configure(self, forget, uint32_t gauge_flushes, uint64_t max_buckets, uint64_t max_values, bint drop_tags):
        """Set what the configuration says; `forget` are codes of kinds whose idle buckets go. Not during a flush."""
        cdef int kind
        cdef size_t i
        cdef Entry *entry
        cdef bint stricter = gauge_flushes and (not self.gauge_flushes or gauge_flushes < self.gauge_flushes)
        # Under a stricter rule about idle buckets, those that there are begin as if they had just been touched.
        for i in range(self.entry_count):
            entry = self.entries[i]
            if not self.is_there(entry):
                self.kill(entry)
            elif (entry.kind in forget and not self.forget[entry.kind]) or (entry.kind == GAUGE and stricter):
                self.touch(entry)
        for kind in range(KINDS):
            self.forget[kind] = kind in forget
        self.gauge_flushes = gauge_flushes
        self.max_buckets = max_buckets
        self.max_values = max_values
        self.drop_tags = drop_tags

    def admit(self, bint may_admit, bytes reserved, dict leaves, bint histograms):
        """Say which new buckets need not be asked for: `naming.PlainConflicts`, its leaves with their dots, by code.

        Without `leaves` no bucket is in another's way. What is too long or too many to be looked at here is asked for.
        """
        cdef uint8_t kind
        cdef size_t i
        self.may_admit = may_admit and all(
            len(own) <= MOST_LEAVES and all(len(leaf) <= LONGEST_LEAF for leaf in own) for own in leaves.values()
        )
        self.kinds_meet = bool(leaves)
        self.histograms = histograms
        self.admitted = reserved, leaves
        self.reserved = piece(reserved)
        for kind in range(KINDS):
            own = leaves.get(kind, ()) if self.may_admit else ()
            self.leaf_count[kind] = len(own)
            for i, leaf in enumerate(own):
                self.leaves[kind][i] = piece(leaf)

    # Finding and making entries

    cdef inline uint64_t hash_of(self, const char *name, size_t length, uint8_t kind) noexcept nogil:
        return gt_hash(name, length, self.seed + kind)

    cdef inline Entry *find(self, const char *name, size_t length, uint8_t kind, uint64_t hash) noexcept nogil:
        cdef uint64_t i = hash & self.mask
        cdef Slot *slot
        cdef Entry *entry
        while True:
            slot = &self.slots[i]
            if slot.entry == NULL:
                return NULL
            if slot.hash == hash:
                entry = slot.entry
                if entry.name_length == length and entry.kind == kind and memcmp(name_of(entry), name, length) == 0:
                    return entry
            i = (i + 1) & self.mask

    cdef void insert_slot(self, Entry *entry) noexcept nogil:
        cdef uint64_t i = entry.hash & self.mask
        while self.slots[i].entry != NULL:
            i = (i + 1) & self.mask
        self.slots[i].hash = entry.hash
        self.slots[i].entry = entry

    cdef bint rehash(self, uint64_t size) noexcept nogil:
        cdef Slot *slots = <Slot *>calloc(size, sizeof(Slot))
        cdef size_t i
        if slots == NULL:
            return False
        free(self.slots)
        self.slots = slots
        self.mask = size - 1
        for i in range(self.entry_count):
            self.insert_slot(self.entries[i])
        return True

    cdef char *allocate(self, size_t size) noexcept nogil:
        """Return room in the arena, or NULL."""
        cdef char **blocks
        cdef char *block
        size = (size + 7) & ~<size_t>7
        if self.block_used + size > ARENA_BLOCK:
            blocks = <char **>realloc(self.blocks, (self.block_count + 1) * sizeof(char *))
            if blocks == NULL:
                return NULL
            self.blocks = blocks
            block = <char *>malloc(ARENA_BLOCK)
            if block == NULL:
                return NULL
            self.blocks[self.block_count] = block
            self.block_count += 1
            self.block_used = 0
        self.block_used += size
        return self.blocks[self.block_count - 1] + self.block_used - size

    cdef Entry *make(self, bytes name, uint8_t kind) except NULL:
        """Return the live entry, made if there was none."""
        cdef size_t length = PyBytes_GET_SIZE(name)
        cdef const char *p = PyBytes_AS_STRING(name)
        if length > LARGEST_NAME:
            raise ValueError("name too long")
        cdef Entry *entry = self.made(p, length, kind, self.hash_of(p, length, kind))
        if entry == NULL:
            raise MemoryError
        return entry

    cdef Entry *made(self, const char *p, size_t length, uint8_t kind, uint64_t hash) noexcept nogil:
        """Return the live entry, made if there was none; NULL if there is no memory for it."""
        cdef Entry *entry = self.find(p, length, kind, hash)
        cdef Entry **entries
        if entry != NULL:
            if not entry.live:
                entry.live = 1
                entry.touched = entry.before = entry.partial = 0
                entry.now = 0.0
                self.live_count += 1
                self.newest_name = self.interval
            return entry
        if (self.entry_count + 1) * 2 > self.mask and not self.rehash((self.mask + 1) * 2):
            return NULL
        if self.entry_count == self.entry_capacity:
            entries = <Entry **>realloc(self.entries, self.entry_capacity * 2 * sizeof(Entry *))
            if entries == NULL:
                return NULL
            self.entries = entries
            self.entry_capacity *= 2
        entry = <Entry *>self.allocate(head_size(kind) + length)
        if entry == NULL:
            return NULL
        memset(entry, 0, head_size(kind))
        entry.hash = hash
        entry.name_length = <uint16_t>length
        entry.kind = kind
        entry.live = 1
        memcpy(name_of(entry), p, length)
        self.entries[self.entry_count] = entry
        self.entry_count += 1
        self.live_count += 1
        self.newest_name = self.interval
        self.insert_slot(entry)
        return entry

    cdef inline bint knows(self, const char *name, size_t length, uint8_t kind) noexcept nogil:
        return self.is_there(self.find(name, length, kind, self.hash_of(name, length, kind)))

    cdef bint is_free(self, const char *name, size_t length, uint8_t kind) noexcept nogil:
        """Tell that nothing is against a new bucket. If that is not certain, False: the reference is to be asked."""
        cdef char longer[LONGEST_LEGAL + LONGEST_LEAF]
        cdef Piece leaf
        cdef uint8_t other
        cdef size_t i
        if self.must_ask or not self.may_admit or self.live_count >= self.max_buckets or not is_legal(name, length):
            return False
        if not self.kinds_meet:
            return True
        leaf = self.reserved
        if leaf.n and length >= leaf.n and memcmp(name, leaf.p, leaf.n) == 0:
            return False
        for other in range(KINDS):
            if other != kind and self.knows(name, length, other):
                return False
        if kind == GAUGE:
            return not self.may_be_leaf(name, length)
        if kind == TIMER and self.histograms:
            return False
        memcpy(longer, name, length)
        for i in range(self.leaf_count[kind]):
            leaf = self.leaves[kind][i]
            memcpy(longer + length, leaf.p, leaf.n)
            if self.knows(longer, length + leaf.n, GAUGE):
                return False
        return True

    cdef bint may_be_leaf(self, const char *name, size_t length) noexcept nogil:
        """Tell whether a bucket of another kind may have this name as one of its leaves."""
        cdef Piece leaf
        cdef uint8_t kind
        cdef size_t i
        if self.histograms:
            return True
        for kind in range(KINDS):
            for i in range(self.leaf_count[kind]):
                leaf = self.leaves[kind][i]
                if length > leaf.n and memcmp(name + length - leaf.n, leaf.p, leaf.n) == 0:
                    if self.knows(name, length - leaf.n, kind):
                        return True
        return False

    cdef void release(self, Entry *entry) noexcept:
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

    cdef void kill(self, Entry *entry) noexcept:
        if entry.live:
            entry.live = 0
            entry.touched = entry.before = 0
            self.release(entry)
            self.live_count -= 1

    cdef int compact(self) except -1:
        """Forget dead entries for good. Only between flushes, and only with nothing dirty."""
        cdef size_t i, kept = 0
        cdef Entry *entry
        cdef char **old_blocks = self.blocks
        cdef size_t old_count = self.block_count
        cdef size_t old_used = self.block_used
        cdef Entry **entries = <Entry **>malloc(self.entry_capacity * sizeof(Entry *))
        if entries == NULL:
            raise MemoryError
        self.blocks = NULL
        self.block_count = 0
        self.block_used = ARENA_BLOCK
        for i in range(self.entry_count):
            entry = self.entries[i]
            if entry.live:
                entries[kept] = <Entry *>self.allocate(head_size(entry.kind) + entry.name_length)
                if entries[kept] == NULL:
                    self.free_blocks(self.blocks, self.block_count)
                    free(entries)
                    self.blocks, self.block_count, self.block_used = old_blocks, old_count, old_used
                    raise MemoryError
                memcpy(entries[kept], entry, head_size(entry.kind) + entry.name_length)
                kept += 1
        free(self.entries)
        self.entries = entries
        self.entry_count = kept
        self.refused_entry = NULL
        memset(self.slots, 0, (self.mask + 1) * sizeof(Slot))
        for i in range(kept):
            self.insert_slot(entries[i])
        self.free_blocks(old_blocks, old_count)
        return 0

    cdef void free_blocks(self, char **blocks, size_t count) noexcept:
        cdef size_t i
        for i in range(count):
            free(blocks[i])
        free(blocks)

    # Touching entries

    cdef inline bint is_stale(self, Entry *entry) noexcept nogil:
        """Tell whether the end of the last interval forgot a live entry; the flush comes to it in its turn."""
        if entry.touched == self.interval:
            return False
        if self.forget[entry.kind]:
            return True
        return entry.kind == GAUGE and self.gauge_flushes and self.interval - entry.touched >= self.gauge_flushes

    cdef inline bint is_there(self, Entry *entry) noexcept nogil:
        return entry != NULL and entry.live and not self.is_stale(entry)

    cdef inline bint may_be_touched(self, Entry *entry) noexcept nogil:
        """Tell whether no rule has to be asked.

        A forgotten bucket's name is free for others; but while only those come that were there in the last
        interval, they can't be in each other's way.
        """
        if entry == NULL or not entry.live:
            return False
        if entry.touched == self.interval or not self.is_stale(entry):
            return True
        return entry.touched == self.interval - 1 and self.newest_name != self.interval and not self.must_ask

    cdef inline void touch(self, Entry *entry) noexcept nogil:
        """Make the entry one of the interval in progress and of the next cut."""
        cdef void **data
        cdef void *swap
        cdef bint stale
        if entry.touched != self.interval:
            stale = self.is_stale(entry)
            entry.then = entry.now
            entry.before = entry.touched
            entry.touched = self.interval
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
        if entry.cut != self.cut_number:
            entry.cut = self.cut_number
            if self.dirty_count < self.dirty_capacity:
                self.dirty[self.dirty_count] = entry
                self.dirty_count += 1
            else:
                with gil:
                    self.grow_dirty(entry)

    cdef void grow_dirty(self, Entry *entry) noexcept:
        cdef Entry **dirty = <Entry **>realloc(self.dirty, self.dirty_capacity * 2 * sizeof(Entry *))
        if dirty == NULL:
            # Nothing is lost by this but the cut's knowledge of one bucket.
            return
        self.dirty = dirty
        self.dirty_capacity *= 2
        self.dirty[self.dirty_count] = entry
        self.dirty_count += 1

    cdef inline bint append(self, Entry *entry, double value) noexcept nogil:
        """Add a value to a touched timer; False if it has as many as it may have."""
        cdef void **data = data_of(entry)
        cdef Values *values = <Values *>data[0]
        cdef uint32_t capacity
        if values == NULL or values.n == values.capacity:
            if values != NULL and values.n >= self.max_values:
                return False
            capacity = 4 if values == NULL else values.capacity * 2
            values = <Values *>realloc(data[0], sizeof(Values) + capacity * sizeof(double))
            if values == NULL:
                return False
            if data[0] == NULL:
                values.n = values.cut = 0
            values.capacity = capacity
            data[0] = values
        elif values.n >= self.max_values:
            return False
        values.v[values.n] = value
        values.n += 1
        return True

    cdef set members(self, Entry *entry):
        """The set of a touched set's members."""
        cdef void **data = data_of(entry)
        if data[0] == NULL:
            fresh = set()
            Py_INCREF(fresh)
            data[0] = <void *>fresh
        return <set>data[0]

    cdef inline void refuse(self, Entry *entry) noexcept nogil:
        self.refused += 1
        if entry != NULL:
            self.refused_entry = entry

    # Parsing

    cdef inline void tokenise(self, const char *line, const char *end, Token *token) noexcept nogil:
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
            if p < end and not (p[0] == c'#' and self.drop_tags and memchr(p, c'|', end - p) == NULL):
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
        token.hash = self.hash_of(line, token.name_length, token.kind)

    cdef bint cut_tags(self, Token *token) noexcept nogil:
        """Shorten a name by the tags of InfluxDB or Graphite that are in it, if they are dropped; tell if there are any."""
        cdef const char *end = token.line + token.name_length
        cdef const char *p = token.line
        # Few names have a `=`.
        if not self.drop_tags or memchr(p, c'=', token.name_length) == NULL:
            return False
        while p < end and p[0] != c',' and p[0] != c';':
            p += 1
        if p == end or memchr(p, c'=', end - p) == NULL:
            return False
        token.name_length = <uint32_t>(p - token.line)
        token.hash = self.hash_of(token.line, token.name_length, token.kind)
        return True

    cdef Entry *admitted_entry(self, Token *token) noexcept nogil:
        """Return a bucket for a name that is new or had been forgotten; NULL if the reference must look at it."""
        if not self.is_free(token.line, token.name_length, token.kind):
            return NULL
        return self.made(token.line, token.name_length, token.kind, token.hash)

    cdef inline bint apply(self, Token *token) noexcept nogil:
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
        entry = self.find(token.line, token.name_length, token.kind, token.hash)
        if not self.may_be_touched(entry):
            if self.cut_tags(token):
                entry = self.find(token.line, token.name_length, token.kind, token.hash)
            if not self.may_be_touched(entry):
                if entry == NULL and self.live_count >= self.max_buckets and is_legal(token.line, token.name_length):
                    self.refuse(NULL)
                    return True
                entry = self.admitted_entry(token)
                if entry == NULL:
                    return False
        self.touch(entry)
        if token.kind == COUNTER:
            entry.now += value / rate
        elif token.kind == TIMER:
            if not self.append(entry, value):
                self.refuse(entry)
                return True
            if rate < 1.0:
                entry.now += 1.0 / rate - 1.0
        elif token.value[0] == c'+' or token.value[0] == c'-':
            entry.now += value
        else:
            entry.now = value
        self.metrics += 1
        return True

    cdef inline bint apply_set(self, Token *token) noexcept:
        """Add a usual line of a set; False if the reference must look at it."""
        cdef Entry *entry = self.find(token.line, token.name_length, SET, token.hash)
        if not self.may_be_touched(entry) and self.cut_tags(token):
            entry = self.find(token.line, token.name_length, SET, token.hash)
        if not self.may_be_touched(entry):
            entry = self.admitted_entry(token)
            if entry == NULL:
                return False
        self.touch(entry)
        members = self.members(entry)
        member = PyBytes_FromStringAndSize(token.value, token.value_end - token.value)
        if member not in members:
            if <uint64_t>len(members) >= self.max_values:
                self.refuse(entry)
                return True
            members.add(member)
        self.metrics += 1
        return True

    cdef void unusual(self, Token *token) noexcept with gil:
        if token.kind == SET and self.apply_set(token):
            return
        self.line = token.line
        self.slow(PyBytes_FromStringAndSize(token.line, token.end - token.line))
        self.line = NULL

    cdef void feed_lines(self, const char *p, const char *end) noexcept nogil:
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
                    self.tokenise(p, line_end, &tokens[n])
                    if tokens[n].kind != UNUSUAL:
                        gt_prefetch(&self.slots[tokens[n].hash & self.mask])
                    n += 1
                p = line_end + 1
            for i in range(n):
                if tokens[i].kind != UNUSUAL:
                    gt_prefetch(self.slots[tokens[i].hash & self.mask].entry)
            for i in range(n):
                if tokens[i].kind == UNUSUAL or not self.apply(&tokens[i]):
                    self.unusual(&tokens[i])

    def feed(self, const uint8_t[::1] lines):
        """Add newline-joined lines."""
        cdef const char *p
        cdef const char *end
        if lines.shape[0] == 0:
            return
        p = <const char *>&lines[0]
        end = p + lines.shape[0]
        with nogil:
            self.feed_lines(p, end)

    def take_refused_name(self):
        """Name a bucket that refused something since the last call: b"" stands for a new one, None for nothing."""
        cdef Entry *entry = self.refused_entry
        self.refused_entry = NULL
        if entry == NULL:
            return None
        return PyBytes_FromStringAndSize(name_of(entry), entry.name_length)

    # Single buckets, for the reference's slow way

    def has(self, bytes name, uint8_t kind):
        """Tell whether there is such a bucket."""
        cdef const char *p = PyBytes_AS_STRING(name)
        cdef size_t length = PyBytes_GET_SIZE(name)
        cdef Entry *entry = self.find(p, length, kind, self.hash_of(p, length, kind))
        return self.is_there(entry)

    def delete(self, bytes name, uint8_t kind):
        """Forget a bucket; tell whether there was one."""
        cdef const char *p = PyBytes_AS_STRING(name)
        cdef size_t length = PyBytes_GET_SIZE(name)
        cdef Entry *entry = self.find(p, length, kind, self.hash_of(p, length, kind))
        if not self.is_there(entry):
            return False
        # The cut says so as well, see `cut`.
        self.touch(entry)
        self.kill(entry)
        return True

    def add_counter(self, bytes name, double amount):
        """Add to a counter, made if need be."""
        cdef Entry *entry = self.make(name, COUNTER)
        self.touch(entry)
        entry.now += amount

    def add_timer(self, bytes name, values, double unsent):
        """Add values to a timer; return how many fitted."""
        cdef Entry *entry = self.make(name, TIMER)
        cdef size_t fitted = 0
        self.touch(entry)
        for value in values:
            if not self.append(entry, value):
                break
            fitted += 1
        else:
            entry.now += unsent
        return fitted

    def set_gauge(self, bytes name, double value, bint delta):
        """Set a gauge or add to it."""
        cdef Entry *entry = self.make(name, GAUGE)
        self.touch(entry)
        entry.now = value + (entry.now if delta else 0.0)

    def add_members(self, bytes name, members):
        """Put members (bytes) into a set; return how many fitted."""
        cdef Entry *entry = self.make(name, SET)
        cdef size_t fitted = 0
        self.touch(entry)
        mine = self.members(entry)
        for member in members:
            if member not in mine:
                if <uint64_t>len(mine) >= self.max_values:
                    break
                mine.add(member)
            fitted += 1
        return fitted

    def buckets(self):
        """The interval in progress as four dicts with bytes for names, and the timers' unsent counts."""
        counters, timers, unsent, gauges, sets = {}, {}, {}, {}, {}
        cdef size_t i, j
        cdef Entry *entry
        cdef Values *values
        for i in range(self.entry_count):
            entry = self.entries[i]
            if not self.is_there(entry):
                continue
            name = PyBytes_FromStringAndSize(name_of(entry), entry.name_length)
            fresh = entry.touched == self.interval
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

    # The partial result of an interval: what was added since the last cut

    cdef int define(self, Entry *entry) except -1:
        """Give the entry a number in the partial result, with its name."""
        reserve(&self.partial, 4 + entry.name_length)
        put(&self.partial, b"N", 1)
        put(&self.partial, <char *>&entry.kind, 1)
        put(&self.partial, <char *>&entry.name_length, 2)
        put(&self.partial, name_of(entry), entry.name_length)
        entry.partial = self.interval
        entry.id = self.next_id
        self.next_id += 1
        return 0

    cdef int record(self, Entry *entry) except -1:
        """Write what has become of the entry since the last cut."""
        cdef Values *values
        cdef uint32_t n
        reserve(&self.partial, 32)
        if not entry.live:
            if entry.partial != self.interval:
                return 0
            put(&self.partial, b"D", 1)
            put(&self.partial, <char *>&entry.id, 4)
            return 0
        if entry.partial != self.interval:
            self.define(entry)
            reserve(&self.partial, 32)
        if entry.kind != SET:
            put(&self.partial, b"V", 1)
            put(&self.partial, <char *>&entry.id, 4)
            put(&self.partial, <char *>&entry.now, 8)
        if entry.kind == TIMER:
            values = <Values *>data_of(entry)[0]
            if values != NULL and values.n > values.cut:
                n = values.n - values.cut
                reserve(&self.partial, 9 + n * sizeof(double))
                put(&self.partial, b"T", 1)
                put(&self.partial, <char *>&entry.id, 4)
                put(&self.partial, <char *>&n, 4)
                put(&self.partial, <char *>&values.v[values.cut], n * sizeof(double))
                values.cut = values.n
        elif entry.kind == SET and data_of(entry)[0] != NULL:
            # All of them: a set has no order in which some are new.
            for member in <set>data_of(entry)[0]:
                n = <uint32_t>len(member)
                reserve(&self.partial, 9 + n)
                put(&self.partial, b"S", 1)
                put(&self.partial, <char *>&entry.id, 4)
                put(&self.partial, <char *>&n, 4)
                put_bytes(&self.partial, member)
        return 0

    def cut(self):
        """Return the records of what changed since the last cut, in the form that `datagram_log` reads."""
        cdef size_t i
        for i in range(self.dirty_count):
            if i + 8 < self.dirty_count:
                gt_prefetch(self.dirty[i + 8])
            self.record(self.dirty[i])
        self.dirty_count = 0
        self.cut_number += 1
        self.last_cut = gt_now()
        result = PyBytes_FromStringAndSize(self.partial.p, self.partial.n)
        self.partial.n = 0
        if self.partial.capacity > KEPT_CAPACITY:
            free(self.partial.p)
            self.partial.p = NULL
            self.partial.capacity = 0
        return result

    @property
    def uncut(self):
        """Whether there is anything to cut that is not in the log."""
        return self.partial.n > 0

    @property
    def wants_cut(self):
        """Whether a cut now keeps the next one short."""
        return self.must_cut(gt_now())

    cdef inline bint must_cut(self, double now) noexcept nogil:
        return self.partial.n >= MOST_PARTIAL or (self.dirty_count >= MOST_DIRTY and now - self.last_cut >= CUT_PAUSE)

    # Flushing

    def begin_flush(self, Names names):
        """End the interval in progress: `flush_slice` gives its lines. Call `cut` first."""
        if self.dirty_count or self.flush_at != self.flush_end:
            raise RuntimeError("an interval ends after a cut, and after the flush before it")
        if self.entry_count > 2 * self.live_count + 10000:
            self.compact()
        self.names = names
        self.flush_at = 0
        self.flush_end = self.entry_count
        self.interval += 1
        self.next_id = 0

    def flush_slice(self, size_t most):
        """Return (lines, how many, how many had no finite number, buckets) of about the next `most` buckets.

        None at the end. What the buckets carry into the interval in progress goes into its next cut.
        """
        cdef Text out
        cdef size_t buckets = 0, work = 0
        cdef Names names = self.names
        cdef Entry *entry
        if self.flush_at >= self.flush_end:
            return None
        memset(&out, 0, sizeof(out))
        names.lines = names.not_finite = 0
        try:
            while self.flush_at < self.flush_end and work < most:
                entry = self.entries[self.flush_at]
                self.flush_at += 1
                if self.flush_at + 4 < self.flush_end:
                    gt_prefetch(self.entries[self.flush_at + 4])
                names.values = 0
                if entry.live and self.flush_entry(entry, names, &out):
                    buckets += 1
                # A timer with many values takes as long as many buckets.
                work += 1 + names.values // 16
            return PyBytes_FromStringAndSize(out.p, out.n), names.lines, names.not_finite, buckets
        finally:
            free(out.p)

    cdef bint flush_entry(self, Entry *entry, Names names, Text *out) except -1:
        """Write an entry's lines and carry it over; False if it was not there in that interval."""
        cdef uint32_t ended = self.interval - 1
        cdef bint again = entry.touched == self.interval
        cdef uint32_t last = entry.before if again else entry.touched
        cdef bint idle = last != ended
        cdef void **data
        cdef void *members
        cdef Values *values
        cdef double value
        if again and entry.before == 0:
            return False
        if idle and self.forget[entry.kind]:
            # Forgotten at the end of the interval before; what is here is newer.
            if not again:
                self.kill(entry)
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
            self.forget[entry.kind]
            or (entry.kind == GAUGE and self.gauge_flushes and self.interval - last >= self.gauge_flushes)
        ):
            self.kill(entry)
        elif entry.partial != self.interval:
            self.define(entry)
            if entry.kind == GAUGE:
                reserve(&self.partial, 13)
                put(&self.partial, b"V", 1)
                put(&self.partial, <char *>&entry.id, 4)
                put(&self.partial, <char *>&entry.now, 8)
        return True

    # Receiving

    def attach(self, memory, dict layout):
        """Receive into `memory`, a writable buffer laid out as `datagram_log` says."""
        cdef uint8_t[::1] view = memory
        cdef unsigned int i
        cdef char *start = <char *>&view[0]
        self.has_senders = False
        free(self.vectors)
        free(self.senders)
        self.vectors = NULL
        self.senders = NULL
        self.keep = view
        self.word = <uint64_t *>(start + <size_t>layout["word"])
        self.announced = <uint64_t *>(start + <size_t>layout["announced"])
        self.packet_word = <uint64_t *>(start + <size_t>layout["packets"])
        self.batch = layout["slots"]
        self.stride = layout["slot_size"]
        self.staging = start + <size_t>layout["staging"]
        self.log = start + <size_t>layout["log"]
        self.log_size = layout["log_size"]
        # The kernel writes each length into the shared memory too: after a crash it says what had come in.
        self.messages = <mmsghdr *>(start + <size_t>layout["messages"])
        self.vectors = <iovec *>calloc(self.batch, sizeof(iovec))
        self.senders = <char *>calloc(self.batch, NAME_ROOM)
        if self.vectors == NULL or self.senders == NULL:
            raise MemoryError
        for i in range(self.batch):
            self.vectors[i].iov_base = self.staging + i * self.stride
            self.vectors[i].iov_len = self.stride
            memset(&self.messages[i], 0, sizeof(mmsghdr))
            self.messages[i].msg_hdr.msg_iov = &self.vectors[i]
            self.messages[i].msg_hdr.msg_iovlen = 1
        self.received = 0

    def begin_log(self, uint64_t generation):
        """Go on with an empty log."""
        self.generation = generation
        self.used = 0
        self.log_packets = 0
        self.count_packets()
        self.publish()

    cdef inline void count_packets(self) noexcept nogil:
        """Say in one store how many datagrams the log holds and up to which batch they are counted."""
        gt_store(self.packet_word, self.log_packets << 16 | (self.sequence & 0xFFFF))

    cdef inline void publish(self) noexcept nogil:
        """Say in one store how much of the log counts and that the staged datagrams are in it."""
        gt_store(self.word, self.used << 32 | (self.generation & 0xFFFF) << 16 | (self.sequence & 0xFFFF))

    cdef inline bint is_full(self, size_t size) noexcept nogil:
        return self.used + size > self.log_size

    cdef unsigned int receive_batch(self, int fd) noexcept nogil:
        """Receive what waits, up to a batch; note it in the log; feed it."""
        cdef unsigned int i
        cdef int n
        cdef size_t length
        cdef char *p
        cdef char *start = self.log + self.used
        if self.wants_senders != self.has_senders:
            self.ask_for_senders()
        for i in range(self.received):
            self.messages[i].msg_len = 0
            if self.has_senders:
                self.messages[i].msg_hdr.msg_namelen = NAME_ROOM
        self.received = 0
        gt_store(self.announced, self.sequence + 1)
        n = recvmmsg(fd, self.messages, self.batch, MSG_DONTWAIT, NULL)
        if n <= 0:
            return 0
        self.received = n
        self.batch_start = self.used
        p = start
        for i in range(<unsigned int>n):
            length = self.messages[i].msg_len
            memcpy(p, self.vectors[i].iov_base, length)
            if self.messages[i].msg_hdr.msg_flags & MSG_TRUNC:
                # The end is missing; what is left of its line could pass for a whole one.
                while length > 0 and p[length - 1] != c'\n':
                    length -= 1
                self.messages[i].msg_len = <unsigned int>length
                self.truncated += 1
            p += length
            p[0] = c'\n'
            p += 1
        self.used += p - start
        self.sequence += 1
        self.packets += n
        self.log_packets += n
        self.count_packets()
        self.publish()
        self.feed_lines(start, p)
        return n

    cdef void ask_for_senders(self) noexcept nogil:
        """Let the kernel note who sent each datagram, or not: it adds to the cost of receiving."""
        cdef unsigned int i
        self.has_senders = self.wants_senders
        for i in range(self.batch):
            self.messages[i].msg_hdr.msg_name = self.senders + i * NAME_ROOM if self.has_senders else NULL
            self.messages[i].msg_hdr.msg_namelen = NAME_ROOM if self.has_senders else 0

    def receive(self, fds, double seconds, double longest_nap):
        """Receive from the sockets for `seconds`, or until a signal comes.

        Datagrams may queue for `longest_nap` seconds.

        Return True when the log has no room for another batch: cut, begin it anew, call again.

        What has queued is received by the clock: waking up for each datagram would cost more than all else.
        """
        cdef pollfd polls[FDS]
        cdef unsigned int count = 0, n
        cdef size_t most = self.batch * (self.stride + 1)
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
                        full = self.is_full(most)
                        if full:
                            break
                        n = self.receive_batch(polls[i].fd)
                        got += n
                        now = gt_now()
                        if n < self.batch or now >= end or self.must_cut(now):
                            break
                    if full:
                        break
                now = gt_now()
                if full or now >= end or self.must_cut(now):
                    break
                if got == 0:
                    ready = poll(polls, count, <int>((end - now) * 1000) + 1)
                    if ready <= 0:
                        break
                    self.last_drain = now
                    now = gt_now()
                else:
                    self.measure(got, now)
                nap = min(self.nap(longest_nap), end - now)
                if nap > 0 and gt_nap(nap) != 0:
                    break
        return full

    cdef void measure(self, uint64_t got, double now) noexcept nogil:
        """Bring the rate up to date, datagrams a second."""
        cdef double elapsed = now - self.last_drain
        self.last_drain = now
        if elapsed > 1e-6:
            self.rate += 0.3 * (got / elapsed - self.rate)

    cdef double nap(self, double longest) noexcept nogil:
        """How long to let datagrams queue: a few hundred of them, but no longer than anyone would notice.

        Where they come singly there is nothing to gather: each is waited for.
        """
        if self.rate <= SPARSE:
            return 0.0
        if self.rate <= FEW / GATHER:
            return min(longest, FEW / self.rate)
        return min(GATHER, max(0.0005, ENOUGH / self.rate))

    def add(self, const uint8_t[::1] lines):
        """Log and feed lines that came another way; False when the log has no room: cut and begin it anew."""
        cdef size_t size = lines.shape[0]
        cdef char *start = self.log + self.used
        if size == 0:
            return True
        if self.is_full(size + 1):
            return False
        memcpy(start, &lines[0], size)
        start[size] = c'\n'
        self.used += size + 1
        self.publish()
        # These have no sender.
        self.batch_start = self.log_size
        with nogil:
            self.feed_lines(start, start + size)
        return True

    def sender(self):
        """The address (struct sockaddr) that sent the line which `slow` is looking at; b"" if it is not known."""
        cdef uint64_t offset
        cdef uint64_t at = self.batch_start
        cdef unsigned int i
        if not self.has_senders or self.line < self.log + self.batch_start or self.line >= self.log + self.used:
            return b""
        offset = self.line - self.log
        for i in range(self.received):
            at += self.messages[i].msg_len + 1
            if offset < at:
                return PyBytes_FromStringAndSize(self.senders + i * NAME_ROOM, NAME_ROOM)
        return b""
