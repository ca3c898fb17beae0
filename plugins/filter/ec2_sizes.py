"""What an EC2 instance must be for a number of series, and what it costs: the one place of that formula.

Pure functions. The size of the volume is role carbon's knowledge (`carbon_store_gib`); here it is given.
docs/ec2.md shows the results as a table, which a test compares with these.

Loads were measured (a carbon-cache: 24 to 42 CPU seconds per million points; relay and aggregator: 4 together; 12 KiB
of page cache per series; 0.37 writes per point). Half of the processor is left for drawing graphs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

HOURS = 730  # in a month, as AWS counts


class Type(NamedTuple):
    """An instance type: the processors it may use all day long, its memory, its price on demand."""

    name: str
    processors: float
    gib: int
    usd_hour: float


# us-east-1, Linux, on demand: AWS's price list of 2026-01-19. A t3 may use a fifth of each of its processors all day.
PRICES_OF = "2026-01-19"
PRICES_IN = "us-east-1"
TYPES = (
    Type("t3.small", 0.4, 2, 0.0208),
    Type("m7i.large", 2, 8, 0.1008),
    Type("m7i.xlarge", 4, 16, 0.2016),
    Type("m7i.2xlarge", 8, 32, 0.4032),
)
USD_GIB_MONTH = 0.08  # gp3
USD_IOPS_MONTH = 0.005  # gp3, above the free ones
USD_ADDRESS_HOUR = 0.005  # a public IPv4 address

FREE_IOPS, MOST_IOPS = 3000, 16000  # gp3
WRITES_PER_POINT = 0.37
CPU_PER_POINT = 50e-6  # seconds
IDLE_CPU = 0.1
IDLE_GIB = 0.75
GIB_PER_SERIES = 12 / 2**20


def _processors(series: int, step: int) -> float:
    """Processors that the series take, with as much again left for drawing."""
    return 2 * (IDLE_CPU + series / step * CPU_PER_POINT)


def _memory(series: int) -> float:
    """GiB that the platform and the hot pages of the series take."""
    return IDLE_GIB + series * GIB_PER_SERIES


def _type_for(series: int, step: int) -> Type | None:
    """The smallest type that carries a point per series every `step` seconds."""
    fitting = (kind for kind in TYPES if kind.processors >= _processors(series, step) and kind.gib >= _memory(series))
    return next(fitting, None)


def problems(series: int, step: int, instance_type: str = "") -> list[str]:
    """Why so many series, each with a point every `step` seconds, are too many for a type or for any; empty if not."""
    if iops(series, step) > MOST_IOPS:
        most = int(MOST_IOPS / WRITES_PER_POINT * step)
        return [
            f"ec2_series is {series:,}; one volume writes a point every {step} s for {most:,} at most. "
            "Lower it, or keep coarser numbers (carbon_retentions)."
        ]
    smallest = _type_for(series, step)
    if smallest is None:
        return [f"ec2_series is {series:,}, more than {TYPES[-1].name} carries with a point every {step} s. Lower it."]
    order = [kind.name for kind in TYPES]
    if instance_type in order and order.index(instance_type) < order.index(smallest.name):
        return [
            f"ec2_instance_type {instance_type} is too small for {series:,} series with a point every {step} s: "
            f"take {smallest.name}, or leave it empty, or lower ec2_series."
        ]
    return []


def iops(series: int, step: int) -> int:
    """Writes per second that the volume must allow; gp3 has 3,000 for nothing."""
    return max(FREE_IOPS, math.ceil(series / step * WRITES_PER_POINT))


def instance_type(series: int, step: int) -> str:
    """The name of the smallest type that carries the series; ask `problems` first."""
    found = _type_for(series, step)
    if found is None:
        raise ValueError(f"no instance type carries {series} series")
    return found.name


def usd_month(name: str, gib: int, volume_iops: int, public_address: bool) -> int | None:
    """About what a type costs in a month with so many GiB of gp3, in USD; None for a type without a price here."""
    hourly = next((kind.usd_hour for kind in TYPES if kind.name == name), None)
    if hourly is None:
        return None
    hourly += USD_ADDRESS_HOUR if public_address else 0
    return round(hourly * HOURS + gib * USD_GIB_MONTH + max(0, volume_iops - FREE_IOPS) * USD_IOPS_MONTH)


def prices(_: object = None) -> dict[str, str]:
    """Where and of when the prices are."""
    return {"region": PRICES_IN, "date": PRICES_OF}


class FilterModule:
    """Hand the filters to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name each filter."""
        return {
            "ec2_size_problems": problems,
            "ec2_instance_type": instance_type,
            "ec2_iops": iops,
            "ec2_usd_month": usd_month,
            "ec2_prices": prices,
        }
