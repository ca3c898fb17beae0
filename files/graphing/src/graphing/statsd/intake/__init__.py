"""What comes in: sockets, streams, the log of datagrams, and a word about what is refused."""
