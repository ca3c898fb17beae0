"""What leaves the aggregator: the lines of a flush to carbon, and datagrams to other StatsD servers."""
