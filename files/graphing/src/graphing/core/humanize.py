"""Numbers as a person reads them."""

import time


def size(count: float) -> str:
    """Bytes as 831 kB, 1.7 GB."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f} {unit}" if unit == "bytes" or count >= 9.95 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds as 8 s, 2 min 05 s, 3 h 12 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def number(count: int, what: str = "series") -> str:
    """Write a count with its thousands, and what is counted."""
    plural = what if count == 1 or what == "series" else what.removesuffix("y") + ("ies" if what.endswith("y") else "s")
    return f"{count:,} {plural}"


def day(stamp: float) -> str:
    """Write a time as its date."""
    return time.strftime("%Y-%m-%d", time.gmtime(stamp))


def some(names: list[str], most: int) -> str:
    """Name the first few, and say how many more there are."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
