# The lines of a flush: what stands before and after a bucket's name, and the numbers that a bucket gives.
# Uses native, layout, text, number, sums.


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
