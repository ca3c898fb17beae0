"""Faults of the aggregator and on the way to it."""

import pytest
from faults import STATSD, at_moments, during, frozen, kill, restart
from verdict import Allowed, balance

FLOOD = 16
"""Seconds."""


def starts(site):
    return int(site.host.check_output(f"systemctl show {STATSD} --property=NRestarts --value"))


@pytest.mark.smoke
@pytest.mark.row("R1", "the aggregator is killed four times in mid-flood")
def test_r01_aggregator_killed(trial):
    before = starts(trial.site)
    with trial.oracle() as oracle:
        away = [during(kill, trial.site, STATSD) for _ in at_moments(trial.moments(4, FLOOD))]
    kills = starts(trial.site) - before
    trial.result.at_risk = f"{oracle.ledger.event_count:,} events, {kills} kills" if kills >= 4 else ""
    account = trial.conclude(oracle.ledger, allowed=Allowed(away=tuple(away)))
    assert account.delivered == oracle.ledger.event_count


@pytest.mark.smoke
@pytest.mark.row("R2", "the aggregator is restarted four times under load")
def test_r02_aggregator_restarted(trial):
    with trial.oracle() as oracle:
        away = [during(restart, trial.site, STATSD) for _ in at_moments(trial.moments(4, FLOOD))]
    trial.result.at_risk = f"{oracle.ledger.event_count:,} events, 4 restarts"
    account = trial.conclude(oracle.ledger, allowed=Allowed(away=tuple(away)))
    assert account.delivered == oracle.ledger.event_count


BURST = """
import json, socket, sys, time
name, count = json.load(sys.stdin)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.connect(("127.0.0.1", 8125))
start = time.monotonic()
for number in range(count):
    out.send(f"{name}:{number}|ms".encode())
print(json.dumps(count / (time.monotonic() - start)))
"""


@pytest.mark.row("R11", "a burst of UDP that the kernel's buffer cannot hold")
def test_r11_burst(trial):
    site, count = trial.site, 200_000 + 20_000 * trial.seed
    with trial.oracle(lines=0) as oracle, frozen(site, STATSD):
        rate = float(site.python(BURST, [f"{trial.name}.burst", count]))
    drops = site.until(lambda: balance(site, oracle.ledger, oracle.ledger.began).dropped["kernel_drops"])
    trial.result.at_risk = f"{count:,} events at {rate:,.0f}/s beside 1,000/s; statsd.kernel_drops.count {drops:,}"
    trial.result.note = "what the kernel has no room for is lost; it is counted exactly"

    def promised(verdict):
        return not (verdict.duplicated or verdict.spurious or verdict.missing > drops)

    account = trial.conclude(oracle.ledger, promised, also=count)
    series = site.render(f"stats.{trial.name}.*.count")
    assert sum(sum(points.values()) for points in series.values()) == account.delivered
