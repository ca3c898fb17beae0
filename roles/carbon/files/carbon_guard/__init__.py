"""carbon-cache, guarded: Debian's program, with what it would otherwise lose kept or counted.

Run instead of /usr/bin/carbon-cache, with the same arguments. Carbon takes a point out of its cache before it writes
it, drops what it may not create yet, closes a connection at a line it cannot read, and takes points of any date. Here,

- while the disk has less than DISK_RESERVE_BYTES free or refuses a write, nothing is taken out of the cache, and the
  door is closed: no connection is taken and none is read, so that the relay queues. Connections that only watch end:
  the aggregator's does, and later it sends again what may have been lost since;
- a point whose write fails goes back into the cache if the disk is at fault, and is counted if the file is;
- a new series for which MAX_CREATES_PER_MINUTE has no room waits in the cache;
- a new file appears whole: a graph that is asked for while it is being made would fail, with all the others in it;
- a file that is shorter than its header says, or has none, is set aside as .corrupt, and a new one is made;
- a line that cannot be read, has tags where these are off or a name that nobody could ask for, or is dated more than
  FUTURE_SECONDS ahead or before the longest retention, is refused, and the connection goes on;
- a sender whose connection broke may have lost lines with it (carbon-c-relay gives one up after ten seconds, and what
  was under way in it): connections that only watch end, so that the aggregator sends again;
- a stop reads what has come, then breaks the connections, so that the relay keeps what it sends next: after an end in
  order its next write would go nowhere. What came in the last second is written too.

Each is named in the log and counted below carbon.agents.INSTANCE, see `counted`. Written for carbon 1.1.7 and 1.1.10
(`versions`); with one that is made otherwise it does not start.

Runs on Debian's Python with the standard library, Debian's carbon and Twisted. A line goes from `door` through `lines`
to carbon's cache, and from there through `store` to `whisper_files` as long as `disk` lets it; `recorder` tells what
was `counted`, `complaints` says it in the log.
"""
