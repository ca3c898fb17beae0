"""When visitors come: a Poisson stream whose rate swings like day and night. Pure arithmetic."""

import math
import random

SWING = 0.8
"""How far the rate leaves its mean: from 20 % of it to 180 %."""


def rate_at(moment: float, mean: float, period: float) -> float:
    """Return the arrivals per second at this moment; the wave hangs on the clock, not on the start."""
    return mean * (1 + SWING * math.sin(2 * math.pi * (moment / period)))


def next_arrival(moment: float, mean: float, period: float, choose: random.Random) -> float:
    """Return the moment of the next arrival.

    Candidates come at the highest rate, and each is kept as often as its own moment deserves.
    """
    highest = mean * (1 + SWING)
    while True:
        moment += choose.expovariate(highest)
        if choose.random() * highest <= rate_at(moment, mean, period):
            return moment
