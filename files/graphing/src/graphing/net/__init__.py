"""TCP without waiting, for daemons of one thread."""
