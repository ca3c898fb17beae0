"""How received datagrams become an interval: the reference engine or the compiled one, and how each receives."""
