"""A StatsD aggregator: datagrams in, Graphite lines out.

`protocol`, `aggregate`, `timers`, `naming` and `flush` are pure; `sockets`, `sender`, `state` and
`server` touch the world.
"""
