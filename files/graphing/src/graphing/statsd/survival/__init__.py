"""What brings an interval over a crash or a restart: the log of datagrams, the saved state, the handing over."""
