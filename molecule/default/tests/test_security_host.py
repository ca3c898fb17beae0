"""The host as an attacker finds it: sandboxes, ports from outside, secrets, hostile names (docs/security.md)."""

import json
import re
import stat
import uuid
from typing import Any

import pytest
import testinfra
import yaml
from playbook import ROOT, run_playbook
from site_under_test import Site
from test_listeners import PUBLIC, listening

# What `systemd-analyze security` gives to units of this project at most, and to those of packages.
OURS = 1.5
PACKAGED = 4.0
# Debian's own, there before the platform came and not its to change.
BASE_SERVICES = r"(dbus|emergency|rescue|ssh|sshd@.*|systemd-(?!timesyncd).*|getty@.*|user@.*|console-getty)\.service"
BASE_PROCESSES = {"systemd", "systemd-journal", "systemd-logind", "systemd-udevd", "sshd", "sshd-session", "(sd-pam)"}

# From where, and what is asked of every port of a host; one that neither accepts nor refuses is silent. Who refuses is
# asked again from another port: the connection tracking of a host that has lately scanned this one from port X, and got
# no answer from port Y, takes a probe from Y to X for that answer, and lets it in.
SCAN = """
import json, resource, select, socket, struct, sys, time
address, seconds, wave = json.load(sys.stdin)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
def scan(ports):
    found = {"open": [], "refused": []}
    waiting, poll = {}, select.epoll()
    for port in ports:
        probe = socket.socket()
        probe.setblocking(False)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        probe.connect_ex((address, port))
        poll.register(probe, select.EPOLLOUT)
        waiting[probe.fileno()] = probe, port
    end = time.monotonic() + seconds
    while waiting and (left := end - time.monotonic()) > 0:
        for number, _ in poll.poll(left):
            probe, port = waiting.pop(number)
            found["refused" if probe.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) else "open"].append(port)
            poll.unregister(number)
            probe.close()
    for probe, _ in waiting.values():
        probe.close()
    return found
waves = [scan(range(first, min(first + wave, 65536))) for first in range(1, 65536, wave)]
refused = [port for found in waves for port in found["refused"]]
print(json.dumps({"open": [port for found in waves for port in found["open"]], "refused": scan(refused)["refused"]}))
"""

SEND_UDP = """
import json, socket, sys
address, ports, datagram = json.load(sys.stdin)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in ports:
    out.sendto(datagram.encode(), (address, port))
"""

SEND_LINES = """
import json, socket, sys
lines = json.load(sys.stdin)
with socket.create_connection(("127.0.0.1", 2003)) as carbon:
    carbon.sendall("".join(lines).encode("latin-1"))
"""

# Waits until the last of the datagrams has been stored: who wanted to answer has answered by then.
REPLIES = """
import json, os, socket, sys, time
datagrams, stored = json.load(sys.stdin)
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.connect(("127.0.0.1", 8125))
for datagram in datagrams:
    out.send(datagram.encode("latin-1"))
end = time.monotonic() + 60
while not os.path.exists(stored):
    assert time.monotonic() < end, "nothing was stored"
    time.sleep(0.2)
try:
    print(json.dumps(out.recv(65536, socket.MSG_DONTWAIT).decode("latin-1")))
except BlockingIOError:
    print("null")
"""

# As nobody: the files in which one of the values can be read.
READABLE = """
import json, os, sys
values = [value.encode() for value in json.load(sys.stdin)]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
found = []
for top in ("/etc", "/home", "/opt", "/root", "/run", "/srv", "/tmp", "/usr/local", "/var"):
    for folder, _, names in os.walk(top):
        for path in (os.path.join(folder, name) for name in names):
            try:
                if os.path.isfile(path) and os.path.getsize(path) < 64 << 20:
                    content = open(path, "rb").read()
                    found += [path for value in values if value in content]
            except OSError:
                pass
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def neighbour(host, inventory):
    """Another host of the inventory, in the same network."""
    name = host.check_output("hostname")
    hosts = testinfra.get_hosts(["ansible://graphing"], ansible_inventory=str(inventory))
    return next(other for other in hosts if other.check_output("hostname") != name)


@pytest.fixture(scope="module")
def address(host):
    return host.check_output("hostname -I").split()[0]


@pytest.fixture(scope="module")
def scanned(neighbour, address):
    """What every TCP port of the host answers to its neighbour."""
    return json.loads(Site(neighbour).python(SCAN, [address, 3, 8192]))


def secrets_of(host, inventory):
    """The directory on the controller with the secrets of a host."""
    return inventory / "secrets" / host.check_output("hostname")


def kept_secrets(host, inventory):
    """What nobody may see of a host's secrets: name to value. The authority's certificate is public."""
    files = secrets_of(host, inventory).iterdir()
    return {file.name: file.read_text().strip() for file in files if file.suffix != ".pem"}


def counted(site, series):
    """The sum of a series in the last ten minutes."""
    return sum(value for points in site.render(series).values() for value in points.values())


# Sandboxes


def exposure(host, unit):
    said = host.check_output("systemd-analyze security --no-pager %s", unit)
    return float(re.search(r"Overall exposure level for \S+: ([\d.]+)", said)[1])


def test_every_unit_of_this_project_is_sandboxed(host):
    files = host.check_output("find /etc/systemd/system -maxdepth 1 -type f -name '*.service' -printf '%f\n'").split()
    units = [name.replace("@.", "@a.") for name in files]
    assert {"carbon-cache@a.service", "collectd.service", "graphing-firewall.service", "statsd.service"} <= set(units)
    scores = {unit: exposure(host, unit) for unit in units}
    assert {unit: score for unit, score in scores.items() if score > OURS} == {}


def test_every_other_daemon_is_sandboxed(host):
    running = host.check_output("systemctl list-units --type=service --state=running --plain --no-legend").splitlines()
    units = [line.split()[0] for line in running if not re.fullmatch(BASE_SERVICES, line.split()[0])]
    assert "nginx.service" in units
    scores = {unit: exposure(host, unit) for unit in units}
    assert {unit: score for unit, score in scores.items() if score > PACKAGED} == {}


def test_the_kernel_knows_what_it_is_told(host):
    """A container cannot set these, and does not see net.core, so the others' names are checked."""
    defaults = yaml.safe_load((ROOT / "roles/host/defaults/main.yml").read_text())
    paths = [f"/proc/sys/{name.replace('.', '/')}" for name in defaults["host_sysctl"]]
    paths = [path for path in paths if not path.startswith("/proc/sys/net/core/")]
    assert len(paths) > 5
    assert [path for path in paths if not host.file(path).exists] == []


# Users


def test_no_daemon_is_root_but_the_first_process_of_nginx(host):
    processes = [line.split(None, 3) for line in host.check_output("ps -eo pid=,ppid=,uid=,comm=").splitlines()]
    # Process 2 is the parent of the kernel's own; what came by `docker exec`, as this test does, has none.
    root = {(pid, name) for pid, parent, uid, name in processes if uid == "0" and parent not in ("0", "2")}
    nginx = host.check_output("systemctl show -P MainPID nginx")
    assert {name for pid, name in root if pid != nginx} - BASE_PROCESSES - {"ps", "sh"} == set()


def test_the_index_of_names_is_made_without_root(host):
    index = host.file("/var/lib/graphite/search_index")
    assert (index.user, oct(index.mode)) == ("_graphite", "0o640")
    assert host.check_output("systemctl show -P User graphite_build_search_index") == "_graphite"


def test_what_talks_to_the_network_for_nginx_has_no_rights(host):
    nginx = host.check_output("systemctl show -P MainPID nginx")
    workers = host.check_output(f"ps -o pid= --ppid {nginx}").split()
    assert workers
    for worker in workers:
        status = host.check_output(f"cat /proc/{worker}/status")
        assert re.search(r"CapEff:\s+(\w+)", status)[1].strip("0") == ""
        assert host.process.get(pid=int(worker)).user == "www-data"


def test_the_load_of_the_host_is_still_measured(host, site):
    """By collectd, which is nobody in particular."""
    name = host.check_output("hostname")
    for leaf in ("cpu.percent.idle", "df.root.percent_bytes.free", "interface.*.if_octets.rx", "load.shortterm"):
        assert site.until(lambda leaf=leaf: site.render(f"hosts.{name}.{leaf}", "-2min")), leaf
    for leaf in ("memory.used", "uptime.uptime", "disk.*.disk_ops.read"):
        assert site.until(lambda leaf=leaf: site.render(f"hosts.{name}.{leaf}", "-2min")), leaf


def test_the_target_stops_and_starts_everything(host, site):
    names = ["nginx", "carbon-c-relay", "carbon-cache@a", "collectd", "statsd", "graphite-web", "photoworld"]

    def states():
        return {host.run("systemctl is-active %s", name).stdout.strip() for name in names}

    host.check_output("systemctl stop graphing.target")
    try:
        # A stop that took too long would be `failed`.
        site.until(lambda: states() <= {"inactive", "failed"})
        assert states() == {"inactive"}
    finally:
        host.check_output("systemctl start graphing.target")
    site.until(lambda: states() == {"active"})


# Ports


def test_a_scan_from_another_host_finds_the_declared_ports_and_silence(scanned):
    declared = sorted(port for proto, port in PUBLIC if proto == "tcp" and port != 2003)
    assert scanned == {"open": declared, "refused": []}


def test_internal_ports_are_not_to_be_reached(host, scanned):
    """Lines, the caches' lines and queries, the console of the aggregator: there, and out of reach."""
    internal = {2003, 2103, 7002, 8126}
    assert internal <= {port for proto, _, port in listening(host) if proto == "tcp"}
    assert internal & {port for ports in scanned.values() for port in ports} == set()


def test_events_of_another_host_are_not_counted(host, site, neighbour, address):
    bucket = f"security.{uuid.uuid4().hex[:12]}"
    ports = sorted({port for proto, _, port in listening(host) if proto == "udp"})
    assert 8125 in ports
    Site(neighbour).python(SEND_UDP, [address, ports, f"{bucket}.foreign:1|c"])
    site.send(f"{bucket}.own:1|c")
    site.until(lambda: counted(site, f"stats.{bucket}.own.count"))
    assert set(site.render(f"stats.{bucket}.*.count")) == {f"stats.{bucket}.own.count"}


def test_udp_is_never_answered(site):
    bucket = f"security.{uuid.uuid4().hex[:12]}"
    tried = ["stats\n", "help\n", "health\n", "counters\n", "", "\n", "no colon", "a:b|c", "a:1|c\0", "\x80\xff" * 700]
    stored = f"/var/lib/graphite/whisper/stats/{bucket.replace('.', '/')}/count.wsp"
    assert json.loads(site.python(REPLIES, [[*tried, f"{bucket}:1|c"], stored])) is None


# Names


@pytest.fixture
def word():
    return f"hostile{uuid.uuid4().hex[:12]}"


def outside_the_tree(host, word):
    """Whatever has the word in its name and lies elsewhere than under whisper's directory."""
    found = host.run(f"find / /run /dev/shm -xdev -path '*{word}*'").stdout.splitlines()
    return [path for path in found if not path.startswith("/var/lib/graphite/whisper/")]


def hostile(word):
    """Names that try to get out of the tree, or that no file can have."""
    climb = "../" * 12
    return [
        f"{climb}tmp/{word}",
        f"/tmp/{word}",
        f"a/{climb}tmp/{word}",
        f"..{word}",
        f"{word}...{word}",
        f".{word}",
        f"{word}\0tail",
        f"{word}\rtail",
        f"~/{word}",
        f"{word}{'x' * 300}",
        f"{'x' * 200}.{word}.{'y' * 4000}",
        f"{word}/../../../../../../../tmp/{word}",
    ]


def test_names_of_events_stay_in_the_tree(host, site, word):
    site.send(*(f"{name}:1|c" for name in hostile(word)), f"split\n{word}.newline:1|c")
    site.send(f"{word}.good:1|c")
    site.until(lambda: counted(site, f"stats.{word}.good.count"))
    assert outside_the_tree(host, word) == []
    # What has no place in the tree is refused, and counted. The rest is stored under a name that has one.
    site.until(lambda: counted(site, "statsd.bad_lines.count") >= 8)
    assert host.service("statsd").is_running


def errors(site):
    """What carbon's caches could not store, and what they refused."""
    return site.render("carbon.agents.*.errors", "-3min") | site.render("carbon.agents.*.refused.*.count", "-3min")


def test_names_of_lines_stay_in_the_tree(host, site, word):
    stamp = int(host.check_output("date +%s"))
    names = [*hostile(word), f"{word}.good"]
    site.python(SEND_LINES, [f"{name} 1 {stamp}\n" for name in names])
    site.until(lambda: site.render(f"{word}.good").get(f"{word}.good"))
    assert outside_the_tree(host, word) == []
    # No file can have the two long names: carbon counts that.
    site.until(lambda: any(count >= 1 for points in errors(site).values() for count in points.values()))
    assert host.service("carbon-cache@a").is_running


# Secrets


def test_secrets_are_their_owners_alone_on_the_controller(host, inventory):
    directory = secrets_of(host, inventory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    modes = {file.name: oct(file.stat().st_mode & 0o777) for file in directory.iterdir() if file.suffix != ".pem"}
    assert len(modes) >= 3
    assert set(modes.values()) == {"0o600"}, modes


def test_nobody_reads_a_secret_on_the_host(host, site, inventory):
    assert json.loads(site.python(READABLE, list(kept_secrets(host, inventory).values()))) == []


def test_no_secret_is_in_the_journal_or_in_a_command_line(host, inventory):
    told = host.check_output("journalctl --no-pager --output=json --all; cat /proc/[0-9]*/cmdline 2>&1 || true")
    assert [name for name, value in kept_secrets(host, inventory).items() if value in told] == []


def test_two_hosts_have_no_secret_in_common(host, neighbour, inventory):
    mine, others = (kept_secrets(found, inventory) for found in (host, neighbour))
    assert {"graphite_web_admin_password", "graphite_web_secret_key", "photoworld_secret_key"} <= set(mine)
    assert set(mine.values()) & set(others.values()) == set()
    assert min(map(len, mine.values())) >= 24
    for file in ("/etc/graphite/local_settings.py", "/etc/graphing/photoworld.env"):
        keys = [
            set(re.findall(r"SECRET_KEY ?= ?\"([^\"]+)", found.file(file).content_string))
            for found in (host, neighbour)
        ]
        assert len(keys[0] | keys[1]) == 2, file


def test_a_run_that_tells_all_tells_no_secret(inventory, monkeypatch):
    """Debug output with differences, of a run that changes secrets: neither those that were nor those that will be."""
    monkeypatch.setenv("ANSIBLE_STDOUT_CALLBACK", "default")
    names = ("graphite_web_secret_key", "photoworld_secret_key")
    new: dict[str, Any] = {name: uuid.uuid4().hex + uuid.uuid4().hex for name in names}
    kept = [file for file in inventory.glob("secrets/*/*") if file.suffix != ".pem"]
    assert len(kept) > len(new)
    run = run_playbook("site", inventory, "--check", "--diff", "-vvv", **new)
    assert run.status == 0, run.output
    told = [name for name, value in new.items() if value in run.output]
    told += [str(file) for file in kept if file.read_text().strip() in run.output]
    assert told == []
