"""A StatsD aggregator: datagrams in, Graphite lines out.

From the bottom up: `model` is pure; `survival` keeps an interval over a crash; `engine` aggregates; `outward`
sends to carbon; `intake` receives; `admin` answers operators; `server` is the daemon that holds them together.
"""
