"""The traffic as ngrep sees it, counted as the aggregator reads it."""

import shlex

from playbook import run_playbook

# Known events as soon as ngrep reads: it sees nothing of what comes between opening its socket and waiting for packets.
TRAFFIC = """
import glob, socket, time
POLL = "7"
def reads(process):
    try:
        with open(process + "/comm") as name, open(process + "/syscall") as call:
            return name.read() == "ngrep\\n" and call.read().split()[0] == POLL
    except OSError:
        return False
end = time.time() + 120
while not any(map(reads, glob.glob("/proc/[0-9]*"))):
    assert time.time() < end, "nobody looks"
    time.sleep(0.05)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.sendto(b"sniffed.first:1|c", ("127.0.0.1", 8125))
for number in range(30):
    out.sendto(b"sniffed.logins:2|c\\nunseen.bucket:1|c", ("127.0.0.1", 8125))
    time.sleep(0.02)
out.sendto(b"elsewhere.bucket:1|c", ("127.0.0.1", 8125))
with socket.create_connection(("127.0.0.1", 2003)) as lines:
    for number in range(7):
        lines.sendall(f"sniffed.line {number} {time.time():.0f}\\n".encode())
        time.sleep(0.02)
"""


def traffic(host):
    """Let the known events come, once somebody looks."""
    host.check_output(f"systemd-run --collect --quiet --unit=sniffed python3 -c {shlex.quote(TRAFFIC)}")


def rows(output):
    """{name: (times, sum or last, kind)} of the counts in an output."""
    found = {}
    for line in output.splitlines():
        columns = line.replace('"', "").split()
        if len(columns) == 4 and columns[0].isdigit():
            found[columns[3]] = (int(columns[0]), float(columns[1]), columns[2])
    return found


def test_the_playbook_shows_and_counts_what_matches(host, inventory):
    traffic(host)
    run = run_playbook("sniff", inventory, sniff_filter="sniffed", sniff_seconds=8)
    assert run.status == 0, run.output
    counted = rows(run.output)
    assert counted["sniffed.logins"] == (30, 60.0, "counters")
    assert counted["sniffed.line"] == (7, 6.0, "line")
    assert {name for name in counted if "sniffed" not in name} == set()
    assert "sniffed.first:1|c" in run.output
    assert "elsewhere" not in run.output
    assert "reached" in run.words
    assert "and matches sniffed" in run.words


def test_the_command_on_the_host_does_the_same(host):
    traffic(host)
    seen = host.run("graphing-sniff --seconds 5 --count sniffed")
    assert seen.rc == 0, seen.stderr
    assert rows(seen.stdout)["sniffed.logins"] == (30, 60.0, "counters")
    assert rows(seen.stdout)["sniffed.line"][0] == 7
    quiet = host.run("graphing-sniff --seconds 1 --filter=no.such.bucket.anywhere")
    assert (quiet.rc, quiet.stdout) == (0, "")


def test_a_check_looks_too(inventory):
    run = run_playbook("sniff", inventory, "--check", sniff_seconds=2, sniff_lines=5)
    assert run.status == 0, run.output
    assert "datagrams with" in run.words


def test_bad_input_is_named(host, inventory):
    run = run_playbook("sniff", inventory, sniff_seconds=0)
    assert run.status == 2
    assert "sniff_seconds 0 must be from 1 to 600" in run.words
    bad = host.run("graphing-sniff --filter 'las['")
    assert bad.rc == 2
    assert "--filter 'las[' is no regular expression" in bad.stderr
