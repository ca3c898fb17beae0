"""What a metric line means and what an interval becomes: pure, without clock, socket or file."""
