# What comes from outside: the C library, the kernel's structures for receiving, and C that Cython has no words for.
# Uses no other part.

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
