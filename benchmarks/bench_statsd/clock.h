/* The time that all tools here measure by. */
#ifndef CLOCK_H
#define CLOCK_H

#include <math.h>
#include <time.h>

/* Seconds since some fixed moment. */
static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static inline void sleep_seconds(double seconds)
{
    double whole = floor(seconds);
    struct timespec time = {(time_t)whole, (long)((seconds - whole) * 1e9)};
    nanosleep(&time, NULL);
}

#endif
