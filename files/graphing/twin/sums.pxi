# What a timer's summary needs: values in order, and sums without loss.
# Uses native.


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
