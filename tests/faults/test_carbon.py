"""Faults of carbon."""

import time

import pytest
from faults import CARBON, RELAY, carbon_set, frozen, stopped

OUTAGE = 600
"""Seconds of one of R3's runs; the others are shorter."""


@pytest.mark.smoke
@pytest.mark.row("R3", "carbon is down for 10 minutes (further runs: shorter, or with the relay), then back")
def test_r03_carbon_away(trial):
    units = (RELAY, CARBON) if trial.seed % 2 == 0 else (CARBON,)
    outage = OUTAGE if trial.seed == 1 else trial.random.uniform(20, 90)
    # A relay that is away takes no lines.
    with trial.oracle(events_per_second=400, lines=0 if RELAY in units else 40) as oracle:
        time.sleep(5)
        with stopped(trial.site, *units):
            time.sleep(outage)
    names = " and ".join(unit.split(".")[0] for unit in units)
    trial.result.at_risk = f"{oracle.ledger.event_count:,} events, {outage:.0f} s without {names}"
    trial.conclude(oracle.ledger)


@pytest.mark.row("R16", "carbon stands still for so long that the relay gives up its connection with what is under way")
def test_r16_carbon_frozen(trial):
    site, began = trial.site, time.time()
    # So many series that a few flushes fill the buffers between the two.
    with trial.oracle(buckets=600) as oracle:
        time.sleep(15)
        with frozen(site, CARBON):
            time.sleep(trial.random.uniform(40, 60))

    def promised(verdict):
        return not (verdict.missing - verdict.missing_lines or verdict.spurious or verdict.duplicated)

    try:
        trial.conclude(oracle.ledger, promised)
    finally:
        log = site.host.check_output(f"journalctl -u {RELAY} --since=@{int(began)} --no-pager -o cat")
        gave_up = [line for line in log.splitlines() if "failed to write()" in line]
        lost = trial.result.settled.verdict.missing_lines
        if gave_up or lost:
            trial.result.at_risk = f"the relay's buffer: {gave_up[-1] if gave_up else 'given up without a word'}"
        if lost:
            trial.result.note = f"{lost} of the {oracle.ledger.line_count} lines that others had sent are lost"


def fill_cache(trial):
    """Wait until carbon's cache holds more points than fit into an interval; how many, as it tells itself."""

    def many():
        series = trial.site.render("carbon.agents.*.cache.size", "-1min").values()
        held = max((points[max(points)] for points in series if points), default=0)
        return held if held > 2000 else 0

    time.sleep(trial.random.uniform(10, 20))
    return trial.site.until(many)


@pytest.mark.smoke
@pytest.mark.row("R4", "carbon is killed with a full cache")
def test_r04_carbon_killed_full(trial):
    slow = carbon_set(trial.site, ends_by_kill=True, MAX_UPDATES_PER_SECOND=2)
    with trial.oracle(buckets=100) as oracle, slow:
        held = fill_cache(trial)
    trial.result.at_risk = f"{held:,.0f} points in the cache"

    def promised(verdict):
        return not (verdict.missing - verdict.missing_lines or verdict.spurious or verdict.duplicated)

    try:
        trial.conclude(oracle.ledger, promised)
    finally:
        if lost := trial.result.settled.verdict.missing_lines:
            of = f"{lost} of the {oracle.ledger.line_count} lines that were sent to the relay directly"
            trial.result.note = f"{of} are lost: carbon acknowledges nothing, and only the aggregator sends again"


@pytest.mark.row("R5", "carbon is stopped with a full cache")
def test_r05_carbon_stopped_full(trial):
    with trial.oracle(buckets=100) as oracle, carbon_set(trial.site, MAX_UPDATES_PER_SECOND=2):
        held = fill_cache(trial)
    trial.result.at_risk = f"{held:,.0f} points in the cache"
    trial.conclude(oracle.ledger)
