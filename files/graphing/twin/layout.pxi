# What lies in memory: a bucket's entry, its values, its place in the hash table; and the limits of a name.
# Uses native.

cdef enum:
    # The kinds, in the order of partial.KINDS.
    COUNTER = 0
    TIMER = 1
    GAUGE = 2
    SET = 3
    KINDS = 4

    LARGEST_NAME = 60000
    # line.MAX_NAME, which is_legal knows.
    LONGEST_LEGAL = 1024
    MOST_LEAVES = 128
    LONGEST_LEAF = 64


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


cdef inline size_t head_size(uint8_t kind) noexcept nogil:
    return sizeof(Entry) + (2 * sizeof(void *) if kind == TIMER or kind == SET else 0)


cdef inline char *name_of(Entry *entry) noexcept nogil:
    return <char *>entry + head_size(entry.kind)


cdef inline void **data_of(Entry *entry) noexcept nogil:
    return <void **>(<char *>entry + sizeof(Entry))
