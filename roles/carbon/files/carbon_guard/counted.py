"""What the guard counts."""

from dataclasses import dataclass


@dataclass
class Counted:
    """What happened since the start; `refused_future` is told as carbon.agents.INSTANCE.refused.future.count."""

    refused_malformed: int = 0
    """Lines."""
    refused_tagged: int = 0
    """Lines with tags, where these are off."""
    refused_future: int = 0
    refused_old: int = 0
    files_corrupt: int = 0
    """Files set aside."""
    points_kept: int = 0
    """Points that went back into the cache when they could not be written."""
    points_lost: int = 0
    """Points whose file could not be written or created."""
