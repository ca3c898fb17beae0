"""What an operator asks of a running aggregator: the console, health over HTTP, a live view of metrics."""
