"""Faults of the disk and of what lies on it."""

import json
import time

import pytest
from faults import CARBON, DISK, RELAY, STATSD, WEB, PowerFailure, carbon_set, filled, free, main_pid, small_disk
from verdict import WHISPER, Allowed, on_disk

MIB = 2**20
RESERVE = 16 * MIB
DOCTOR = "/opt/graphing/venv/bin/graphing doctor --json"


def latest(site, leaf):
    """The newest value of one of the guard's metrics, over all caches."""
    series = site.render(f"carbon.agents.*.{leaf}", "-1min").values()
    return [points[max(points)] for points in series if points]


def told(site, leaf, since):
    """The sum of one of the guard's counts since then."""
    series = site.render(f"carbon.agents.*.{leaf}.count", str(int(since))).values()
    return sum(sum(points.values()) for points in series)


@pytest.mark.row("R6", "the power fails: what the disk holds at one moment is all that there is")
def test_r06_power_failure(trial):
    site, check = trial.site, trial.site.host.check_output
    with small_disk(site, 256, image=True), carbon_set(site, DISK_RESERVE_BYTES=RESERVE):
        failure = PowerFailure(site)
        with trial.oracle() as first:
            time.sleep(12 + trial.seed)
        # The aggregator syncs a flush before it sends it; nobody else promises that.
        site.until(lambda: on_disk(site, first.ledger).counts)
        time.sleep(site.interval + 2)
        check("sync")
        with trial.oracle(lines=0, name=f"{trial.name}.after"):
            time.sleep(trial.random.uniform(3, 20))
            failure.happens()
        with failure.restart():
            trial.result.at_risk = f"{first.ledger.event_count:,} events and {first.ledger.line_count} lines, one sync"
            # What came since the last flush is not promised, nor its count.
            trial.compare(first.ledger)


def assert_the_doctor_names_the_disk(site):
    """What it says first is the cause, and none of what it says is that the relay is at fault."""
    first, *others = json.loads(site.host.run(DOCTOR).stdout)["checks"]
    assert (first["check"], first["state"]) == (f"disk {WHISPER}", "failed")
    assert "carbon accepts no points" in first["what"]
    line = next(check for check in others if check["check"] == "line")
    assert "stops at carbon: it accepts no points: its disk has " in line["what"]
    assert "Free space on carbon's disk" in line["remedy"]


@pytest.mark.smoke
@pytest.mark.row("R7", "the disk of numbers and journal is full, then it is not")
def test_r07_disk_full(trial):
    site = trial.site
    units = (STATSD, CARBON, RELAY, WEB, "nginx.service")

    def closed():
        return latest(site, "door.open") == [0]

    with small_disk(site, 128), carbon_set(site, DISK_RESERVE_BYTES=RESERVE):
        before = [main_pid(site, unit) for unit in units]
        with trial.oracle() as oracle:
            time.sleep(12)
            with filled(site, DISK, leave=RESERVE // 2):
                site.until(closed)
                left = free(site, DISK)
                assert left > RESERVE // 4, "the alarm must come before the disk is full"
                assert_the_doctor_names_the_disk(site)
                with filled(site, DISK):
                    assert free(site, DISK) < 64 * 1024
                    time.sleep(trial.random.uniform(15, 40))
                    assert site.request("/render?target=statsd.metrics.count&format=json")["status"] == 200
            site.until(lambda: not closed())
        assert [main_pid(site, unit) for unit in units] == before, "a service has restarted"
        trial.result.at_risk = f"{oracle.ledger.event_count:,} events; the alarm came with {left / MIB:.0f} MiB left"
        # The canary of the doctor.
        trial.conclude(oracle.ledger, also=1)


DAMAGE = """
import json, os, sys
folder, = json.load(sys.stdin)
size = os.path.getsize(f"{folder}/l0.wsp")
os.truncate(f"{folder}/l0.wsp", 0)
os.truncate(f"{folder}/l1.wsp", size // 2)
with open(f"{folder}/l2.wsp", "r+b") as file:
    file.write(os.urandom(64))
"""


@pytest.mark.row("R8", "one whisper file is emptied, one cut in half, one overwritten at its beginning")
def test_r08_broken_files(trial):
    site, began = trial.site, time.time()
    folder = f"{WHISPER}/{trial.name.replace('.', '/')}"
    broken = frozenset({"l0", "l1", "l2"})
    with trial.oracle() as oracle:
        site.until(lambda: all(site.host.file(f"{folder}/{series}.wsp").exists for series in broken))
        site.python(DAMAGE, [folder])
        damaged = time.time()
        time.sleep(25 + trial.seed)
    trial.result.at_risk = f"{len(broken)} files broken beside {oracle.ledger.line_count // 4} whole ones"
    trial.conclude(oracle.ledger, allowed=Allowed(lines=broken))
    log = site.host.check_output(f"journalctl -u {CARBON} --since=@{int(began)} --no-pager -o cat")
    for series in broken:
        assert site.host.file(f"{folder}/{series}.wsp.corrupt").exists
        assert f"{series}.wsp is broken" in log
        after = {stamp for stamp in oracle.ledger.lines[series] if stamp > damaged}
        assert after <= on_disk(site, oracle.ledger).lines[series].keys()
    assert told(site, "files.corrupt", began) == len(broken)
