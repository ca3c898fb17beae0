"""Lines that nobody should send, among lines that somebody counts on."""

import json
import time

import pytest
from oracle import Ledger, by_stamp

POISON = {
    "not UTF-8": b"poison.\xff\xfe 1 %d",
    "a value that is none": b"poison.nan nan %d",
    "an endless value": b"poison.inf inf %d",
    "a time that is none": b"poison.when 1 nan",
    "an endless time": b"poison.ever 1 inf",
    "20 kB": b"poison." + b"x" * 20000 + b" 1 %d",
    "an empty part": b"poison..empty 1 %d",
    "a NUL": b"poison.\x00 1 %d",
    "no name": b" 1 %d",
    "no value": b"poison.short",
    "the year 5138": b"poison.far 1 99999999999",
    "the year 1938": b"poison.back 1 -1000000000",
}
"""Lines for carbon."""

BAD_EVENTS = [
    b"bad.\xff\xfe:x|c",
    b"bad.nan:nan|g",
    b"bad.inf:inf|ms",
    b"x" * 20000 + b"1|c",
    b"bad..empty:1|c",
    b":1|c",
    b"bad.none",
    b"bad.kind:1|zz",
    b"bad.rate:1|c|@-1",
    b"bad.kv:1|kv|@nan",
]
"""Lines for the aggregator. A counter may be negative, so that is not among them."""

REFUSED = "carbon.agents.*.refused.{}.count"

SEND_LINES = """
import json, socket, sys, time
name, port, poison = json.load(sys.stdin)
out = socket.create_connection(("127.0.0.1", port), timeout=10)
stamp = int(time.time()) // 10 * 10
sent = {}
def neighbour():
    number = len(sent)
    out.sendall(f"{name}.l{number} {number} {stamp}\\n".encode())
    sent[f"l{number}"] = {stamp: number}
neighbour()
for line in poison:
    out.sendall(line.encode("latin-1") + b"\\n")
    neighbour()
time.sleep(3)
neighbour()
time.sleep(1)
out.setblocking(False)
try:
    is_open = bool(out.recv(1))
except BlockingIOError:
    is_open = True
print(json.dumps([is_open, sent]))
"""


def lines_sent(trial, name, port):
    """Send poison lines among others on one connection; the ledger of the others."""
    began = time.time()
    lines = [line.replace(b"%d", b"%d" % began).decode("latin-1") for line in POISON.values()]
    is_open, sent = json.loads(trial.site.python(SEND_LINES, [name, port, lines]))
    assert is_open, "the connection was closed"
    return Ledger(name, began, time.time(), {}, {series: by_stamp(points) for series, points in sent.items()}, 0)


def refused(site, since, *kinds):
    """How many lines carbon's guard says that it has refused."""
    # From the slot on in which that was: what is told later in it stands at its beginning.
    start = str(int(since) // site.interval * site.interval - 1)
    series = [site.render(REFUSED.format(kind), start) for kind in kinds]
    return round(sum(sum(points.values()) for found in series for points in found.values()))


def refused_until(site, since, until, *kinds):
    """The same, when all that it had refused by then has been told: in a slot that begins later it has told more."""
    series = REFUSED.format("*")
    site.until(lambda: max((stamp for points in site.render(series).values() for stamp in points), default=0) >= until)
    return refused(site, since, *kinds)


@pytest.mark.smoke
@pytest.mark.row("R9", "poison lines among others, by UDP, through the relay and straight to carbon")
def test_r09_poison(trial):
    site = trial.site
    relayed = lines_sent(trial, f"{trial.name}.relayed", 2003)
    straight = lines_sent(trial, f"{trial.name}.straight", 2103)
    trial.result.at_risk = f"{len(POISON)} kinds of lines twice, {len(BAD_EVENTS)} of events"
    # Events: each bad one in a datagram of its own between two good ones, and in one with its neighbours.
    good = f"{trial.name}.good:1|c"
    datagrams = [good]
    for bad in BAD_EVENTS:
        datagrams += [bad.decode("latin-1"), good, "\n".join([good, bad.decode("latin-1")[:1000], good])]
    stamp = site.send(*datagrams)
    trial.conclude(relayed, also=3 * len(BAD_EVENTS) + 1 + 2 * len(BAD_EVENTS))
    trial.conclude(straight, also=3 * len(BAD_EVENTS) + 1 + 2 * len(BAD_EVENTS))
    counted = site.until(lambda: site.render(f"stats.{trial.name}.good.count").popitem()[1].get(stamp))
    assert counted == 1 + 3 * len(BAD_EVENTS)
    bad_lines = site.until(lambda: site.render("statsd.bad_lines.count")["statsd.bad_lines.count"].get(stamp))
    assert bad_lines == 2 * len(BAD_EVENTS)
    everything = refused_until(site, relayed.began, straight.ended, "malformed", "future", "old")
    assert everything >= len(POISON), "straight to carbon, each is refused and counted"
    trial.result.note = f"the relay lets {everything - len(POISON)} of the {len(POISON)} through to carbon"


@pytest.mark.row("R10", "points dated an hour ahead, which would take the place of points five hours old")
def test_r10_future(trial):
    site, began = trial.site, time.time()
    count = 10 + trial.seed
    # Six hours are kept at ten seconds: what is dated an hour ahead would lie where what is five hours old is.
    old = int(began) // 10 * 10 - 5 * 3600
    site.python(
        "import json, socket, sys\n"
        "socket.create_connection(('127.0.0.1', 2003)).sendall(json.load(sys.stdin).encode())",
        "".join(f"{trial.name}.l{n} {n} {old}\n" for n in range(count)),
    )
    ledger = Ledger(trial.name, old, began, {}, {f"l{n}": {old: n} for n in range(count)}, 0)
    trial.compare(ledger)
    site.python(
        "import json, socket, sys\n"
        "socket.create_connection(('127.0.0.1', 2003)).sendall(json.load(sys.stdin).encode())",
        "".join(f"{trial.name}.l{n} 666 {old + 6 * 3600}\n" for n in range(count)),
    )
    stamp = site.send(*[f"{trial.name}.k{n}:666|kv|@{int(began) + 3600}" for n in range(count)])
    trial.result.at_risk = f"{count} points five hours old"
    # At least: what an earlier row was refused may be told only now.
    site.until(lambda: refused(site, began, "future") >= count)
    site.until(lambda: site.render("statsd.refused.count")["statsd.refused.count"].get(stamp) == count)
    trial.conclude(ledger, also=count, since=began)
