"""Sizes and times for people."""


def shown(size: float) -> str:
    """Return a number of bytes in the unit that fits it."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def duration(seconds: float) -> str:
    """Return a time in hours, or in minutes."""
    return f"{seconds / 3600:.0f} hours" if seconds >= 7200 else f"{max(1, seconds / 60):.0f} minutes"
