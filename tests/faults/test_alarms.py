"""A fault that lasts turns the right alarms on, and they go off when it is over (docs/watchdog.md)."""

import contextlib
import json
import time
import uuid

import pytest
from faults import CARBON, DISK, RELAY, STATSD, WATCHDOG, WEB, carbon_set, filled, frozen, main_pid, small_disk, stopped
from oracle import Oracle, Order
from report import Alarmed
from test_statsd import BURST
from verdict import WHISPER

STATE = "/run/graphing-watchdog/watchdog.json"
CHECKS = "/etc/graphing/checks.toml"
ON_SECONDS, OFF_SECONDS, CLEAN_SECONDS = 180, 300, 300
MIB = 2**20


def stream(site, **order):
    """Events on their way."""
    return Oracle(site, Order(**{"name": f"alarms.{uuid.uuid4().hex[:10]}", "seed": 0, "lines": 0, **order}))


@contextlib.contextmanager
def full_disk(site):
    """A disk of which half of carbon's reserve is left."""
    with small_disk(site, 1024), filled(site, DISK, leave=128 * MIB):
        yield


@contextlib.contextmanager
def slow_writes(site):
    """A carbon-cache that writes two series a second, and gets more than a thousand."""
    with stream(site, buckets=400, events_per_second=400), carbon_set(site, MAX_UPDATES_PER_SECOND=2):
        yield


@contextlib.contextmanager
def many_names(site):
    """New series, of which carbon-cache may create six a minute."""
    with carbon_set(site, MAX_CREATES_PER_MINUTE=6), stream(site, buckets=20, events_per_second=50):
        yield


@contextlib.contextmanager
def flood(site):
    """More datagrams than the kernel's buffer holds, while the aggregator stands still."""
    with frozen(site, STATSD):
        site.python(BURST, ["alarms.burst", 300_000])
    yield


@contextlib.contextmanager
def nonsense(site):
    """A client sends what is no event."""
    site.send(*["alarms.nonsense:x|c"] * 150)
    yield


@contextlib.contextmanager
def old_certificate(site):
    """A certificate for which it is time, because it must last for ten years."""
    check = site.host.check_output
    check(f"cp --preserve {CHECKS} {CHECKS}.before && sed -i 's/^days = .*/days = 3650/' {CHECKS}")
    check(f"systemctl restart {WATCHDOG}")
    try:
        yield
    finally:
        check(f"mv {CHECKS}.before {CHECKS} && systemctl restart {WATCHDOG}")


def away(*units):
    """A fault: units that do not run."""
    return lambda site: stopped(site, *units)


FAULTS = {
    "the aggregator is away": (away("statsd.socket", STATSD), "event services aggregator", ""),
    "carbon is away": (away(CARBON), "event line services", "aggregator journal"),
    "carbon stands still": (lambda site: frozen(site, CARBON), "event line", "aggregator journal web"),
    "the relay is away": (away(RELAY), "event line services journal", "aggregator"),
    "graphite-web is away": (away("graphite-web.socket", WEB), "event line services", "web"),
    "nginx is away": (away("nginx.service"), "web services", "certificate"),
    "the disk has less than carbon's reserve": (
        full_disk,
        f"event line|disk {WHISPER}|cache a",
        "aggregator journal web",
    ),
    "carbon writes too slowly": (slow_writes, "cache a", "event line creates a"),
    "carbon may create too few series": (many_names, "creates a", "event line"),
    "the kernel drops datagrams": (flood, "drops", "event aggregator services"),
    "a client sends what is no event": (nonsense, "refused", ""),
    # Photoworld sends a gauge every ten seconds.
    "a steady stream of events ends": (away("photoworld.socket", "photoworld.service"), "data services", ""),
    "the certificate ends soon": (old_certificate, "certificate", ""),
}
"""The fault, the alarms that must go on, those that may: by the names of their checks."""


def names(text):
    """Checks, some of whose names are of two words."""
    for pair in ("cache a", "creates a", f"disk {WHISPER}"):
        text = text.replace(pair, pair.replace(" ", "\0"))
    return {name.replace("\0", " ") for name in text.replace("|", " ").split()}


def on(site):
    """The alarms that are on: check to what it says."""
    said = json.loads(site.host.check_output(f"cat {STATE}"))
    return {each["check"]: each["what"] for each in said["alarms"] if each["on"]}


def seconds_until(site, condition, most):
    """How long it takes until something holds."""
    began = time.monotonic()
    site.until(condition, seconds=most)
    return time.monotonic() - began


@pytest.fixture
def quiet(site):
    """A host without an alarm."""
    assert main_pid(site, WATCHDOG)
    # One that has just started has said nothing yet.
    site.until(lambda: site.host.file(STATE).exists, seconds=ON_SECONDS)
    site.until(lambda: not on(site), seconds=OFF_SECONDS)


@pytest.mark.alarms
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_turns_its_alarms_on_and_its_end_turns_them_off(site, quiet, name, alarmed):
    fault, right, possible = FAULTS[name]
    right, possible = names(right), names(possible)
    with fault(site):
        seconds_on = seconds_until(site, lambda: right <= on(site).keys(), ON_SECONDS)
        seen = on(site)
    seconds_off = seconds_until(site, lambda: not on(site), OFF_SECONDS)
    alarmed(Alarmed(name, ", ".join(sorted(right)), seconds_on, seconds_off))
    assert seen.keys() <= right | possible, "a false alarm"


@pytest.mark.alarms
def test_nothing_is_wrong_in_a_clean_run(site, quiet, alarmed):
    began = site.host.check_output("date +%s")
    with stream(site, lines=40):
        time.sleep(CLEAN_SECONDS)
    told = site.host.check_output(f"journalctl -u {WATCHDOG} --no-pager -o cat --since=@{began}")
    assert "ALARM" not in told
    alarmed(Alarmed(f"none, for {CLEAN_SECONDS // 60} minutes under load", "none", None, None))
