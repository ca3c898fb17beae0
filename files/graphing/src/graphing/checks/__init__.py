"""Whether a number is on its way, and will be tomorrow: measured at the edges, judged by pure functions.

Each module is one check, or a few of one kind: a small measured input, `judge...()` that makes a `Verdict`
of it, and the functions that measure. `lookout` does them all in turn, for `graphing doctor` and for
`graphing watchdog`.
"""
