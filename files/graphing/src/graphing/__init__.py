"""Daemons of a Graphite host: they receive numbers, aggregate them and hand them on."""

__version__ = "0.1.0"
