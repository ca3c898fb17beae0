"""The parts of `benchmarks/bench-statsd`; README.md beside this file says what it measures and how."""
