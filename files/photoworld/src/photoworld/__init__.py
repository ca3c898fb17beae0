"""A small forum for photographs that reports to StatsD what its visitors do."""

__version__ = "0.1.0"
