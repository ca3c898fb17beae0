# Numbers, read as float() reads them and written as line.format_number() writes them.
# Uses native, text.


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
