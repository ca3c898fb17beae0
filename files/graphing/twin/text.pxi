# Text that grows while it is written, and pieces of text that something else keeps alive.
# Uses native.
#
# `put` and `put_bytes` make no room: whoever calls them calls `reserve` before.


cdef struct Text:
    char *p
    size_t n
    size_t capacity


cdef struct Piece:
    const char *p
    size_t n


cdef Piece piece(bytes text) noexcept:
    cdef Piece result
    result.p = PyBytes_AS_STRING(text)
    result.n = PyBytes_GET_SIZE(text)
    return result


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
