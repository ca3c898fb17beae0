"""A backup taken under traffic, brought back on a bare host: the same numbers. And the bare host bare again."""

import hashlib
import json
import re
import shlex
import shutil
import uuid

import pytest
import testinfra
from bare_state import bare_state, differences
from playbook import run_playbook
from site_under_test import Site

# All of them, so that pytest leaves them in their order: they are steps of one story.
pytestmark = pytest.mark.usefixtures("host")

NAME = "molecule-day-two"
SPARE = "molecule-day-two-spare"
WHISPER = "/var/lib/graphite/whisper"
COUNT = 400

# What graphite-web answers for each of the series between two times, by its socket: {series: [[value, stamp], ...]}.
RENDER = """
import http.client, json, socket, sys, urllib.parse
names, start, end = json.load(sys.stdin)
class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect("/run/graphite-web.sock")
def ask(path, form=None):
    link = Local("localhost", timeout=120)
    body = form and urllib.parse.urlencode(form, doseq=True)
    kind = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    link.request("POST" if form else "GET", path, body, kind)
    return json.loads(link.getresponse().read())
names = names or ask("/metrics/index.json")
found = {}
for n in range(0, len(names), 200):
    form = {"target": names[n:n + 200], "from": start, "until": end, "format": "json"}
    for series in ask("/render", form):
        found[series["target"]] = series["datapoints"]
print(json.dumps(found))
"""

# A series of a megabyte that nothing compresses and nobody changes, so that there is something to store only once. It
# is longer than any window that is compared, or where it begins would depend on when each host is asked.
BALLAST = """
import random, sys, time, whisper
path, now, step, points = sys.argv[1] + "/ballast.wsp", int(time.time()), 600, 100000
whisper.create(path, [(step, points)])
whisper.update_many(path, [(now - (points - n) * step, random.random()) for n in range(1, points)])
"""

HASHES = f"cd {WHISPER} && find . -name '*.wsp' -exec sha256sum {{}} + | sort"


@pytest.fixture(scope="module")
def spare_inventory(inventory):
    place = inventory.parent / "spare"
    # A run before this one, whose hosts are gone, may have left some.
    for left in ("secrets", "backups"):
        shutil.rmtree(place / left, ignore_errors=True)
    return place


@pytest.fixture(scope="module")
def spare(spare_inventory):
    return testinfra.get_host(f"ansible://{SPARE}?ansible_inventory={spare_inventory}")


@pytest.fixture(scope="module")
def bare(spare):
    """The spare host before anything was done to it."""
    return bare_state(spare)


@pytest.fixture(scope="module")
def state(host):
    """What one test leaves for the next."""
    yield {}
    # The other files' tests know nothing of it.
    host.check_output(f"rm -f {WHISPER}/ballast.wsp")


def manifest(host, inventory):
    """The manifest of the newest backup, read by Borg itself."""
    passphrase = (inventory / "secrets" / NAME / "backup_passphrase").read_text().strip()
    borg = f"BORG_PASSPHRASE={passphrase} BORG_BASE_DIR=/run/borg-of-the-test borg"
    newest = host.check_output(f"{borg} list --short --last 1 /var/backups/graphing")
    return json.loads(host.check_output(f"{borg} extract --stdout /var/backups/graphing::{newest} manifest.json"))


def there(host):
    """What a backup would change on the host."""
    return host.file("/usr/bin/borg").exists, host.run("find /var/backups/graphing /var/lib/graphing -ls").stdout


def series(host):
    """How many there are; new ones come all the time."""
    return len(host.check_output(f"find {WHISPER} -name '*.wsp'").splitlines())


def since(host, unit):
    """When a unit was started."""
    return int(host.check_output(f'date -d "$(systemctl show -p ActiveEnterTimestamp --value {unit})" +%s'))


def new_mib(run):
    return float(re.search(r"([\d.]+) MiB of it were new", run.words)[1])


def test_a_check_says_what_would_be_backed_up(host, inventory):
    before, fewest = there(host), series(host)
    run = run_playbook("backup", inventory, "--check")
    assert run.status == 0, run.output
    found = re.search(r"(\d+) series and 2 databases would be backed up", run.words)
    assert fewest <= int(found[1]) <= series(host), run.output
    assert there(host) == before


def test_a_backup_has_what_carbon_had_not_written_yet(host, site, inventory, state, updates_per_second):
    """With a slow disk most numbers are in carbon's memory alone when the backup begins."""
    bucket = f"backup.{uuid.uuid4().hex[:12]}"
    host.check_output(f"runuser -u _graphite -- python3 -c {shlex.quote(BALLAST)} {WHISPER}")

    def sent():
        stamp = site.send("\n".join(f"{bucket}.{n}:{n}|c" for n in range(COUNT)))
        site.until(lambda: sum(stamp in points for points in site.render(f"stats.{bucket}.*.count").values()) == COUNT)
        return stamp

    state["stamps"] = [sent()]
    updates_per_second(25)
    host.check_output("systemctl restart carbon-cache@a")
    state["stamps"] += [sent()]
    state["bucket"] = bucket
    state["first"] = run = run_playbook("backup", inventory)
    assert run.status == 0, run.output
    state["manifest"] = manifest(host, inventory)
    assert state["manifest"]["host"] == NAME
    assert state["manifest"]["began"] >= state["stamps"][-1]


def test_the_manifest_is_that_of_the_files(host, inventory, state):
    files = state["manifest"]["files"]
    secrets = inventory / "secrets" / NAME
    assert {
        f"controller/secrets/{path.relative_to(secrets)}" for path in secrets.rglob("*") if path.is_file()
    } <= files.keys()
    assert {"databases/graphite.db", "databases/forum.db", "etc/carbon/storage-schemas.conf"} <= files.keys()
    for path in ("/etc/carbon/storage-schemas.conf", "/etc/graphing/tls/authority.key"):
        assert files[path[1:]]["sha256"] == host.file(path).sha256sum
    assert state["manifest"]["series"] == sum(name.startswith("whisper/") for name in files)
    assert state["manifest"]["damaged"] == []


def test_a_second_backup_stores_what_is_new(host, inventory, state):
    run = run_playbook("backup", inventory)
    assert run.status == 0, run.output
    assert "one of 2" in run.words, run.output
    assert new_mib(run) < new_mib(state["first"]) / 2
    state["manifest"] = manifest(host, inventory)
    copy = inventory / "backups" / NAME
    there = host.check_output("cd /var/backups/graphing && find . -type f ! -name 'lock*' -exec sha256sum {} + | sort")
    assert there.splitlines() == sorted(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(copy)}"
        for path in copy.rglob("*")
        if path.is_file()
    )


@pytest.fixture
def vault(host):
    """A place for backups that is reached by SSH: the host itself, which lets its own root in for the time."""
    key, allowed, place = "/root/.ssh/id_ed25519", "/root/.ssh/authorized_keys", "/var/tmp/vault"
    host.check_output(
        f"mkdir -p -m 700 /root/.ssh && ssh-keygen -q -t ed25519 -N '' -f {key} && cp {key}.pub {allowed}"
    )
    yield f"ssh://root@127.0.0.1{place}"
    host.check_output(f"rm -rf /root/.ssh {place}")


def test_backups_may_be_kept_on_another_host(inventory, vault):
    run = run_playbook("backup", inventory, backup_repository=vault)
    assert run.status == 0, run.output
    assert "one of 1" in run.words, run.output
    run = run_playbook(
        "backup", inventory, backup_repository=vault.replace("/vault", "/vault/of"), backup_ssh="ssh -p 1"
    )
    assert run.status != 0
    assert "the host that keeps it does not answer by SSH, or has no Borg" in run.words, run.output


@pytest.fixture
def no_good(inventory, tmp_path):
    """What may be wrong with a backup: its files, the passphrase or the host; each with the complaint."""
    copy, passphrase = inventory / "backups" / NAME, inventory / "secrets" / NAME / "backup_passphrase"
    broken, wrong = tmp_path / "broken", tmp_path / "passphrase"
    shutil.copytree(copy, broken)
    largest = max((path for path in broken.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    with largest.open("rb+") as file:
        file.truncate(largest.stat().st_size // 2)
    wrong.write_text("not-that-of-these-backups\n")
    return [
        (broken, passphrase, NAME, "is damaged"),
        (copy, wrong, NAME, "the passphrase does not open it"),
        (copy, passphrase, SPARE, f"are of {NAME}, not of {SPARE}"),
    ]


def restored(inventory, source, passphrase, of):
    """A run that restores the backup of another host on that of the inventory."""
    given = {"restore_from": str(source), "restore_passphrase_file": str(passphrase), "restore_host": of}
    return run_playbook("restore", inventory, **given)


def test_a_backup_that_is_no_good_changes_nothing(spare_inventory, spare, bare, no_good):
    for source, passphrase, of, complaint in no_good:
        run = restored(spare_inventory, source, passphrase, of)
        assert run.status != 0
        assert complaint in run.words, run.output
        assert differences(bare, bare_state(spare)) == {}
        assert not spare.file("/var/lib/graphite").exists
        assert not (spare_inventory / "secrets" / SPARE).exists()


@pytest.fixture
def small_store(spare):
    """A disk with 8 MiB where the numbers will lie, on a host without any."""
    spare.check_output(f"mkdir -p {WHISPER} && mount -t tmpfs -o size=8m small {WHISPER}")
    yield
    spare.check_output(f"umount {WHISPER} && rmdir -p {WHISPER} --ignore-fail-on-non-empty")


def test_a_small_disk_for_the_numbers_is_refused_before_anything_changes(spare_inventory, spare, small_store):
    run = run_playbook("site", spare_inventory)
    assert run.status != 0
    assert f"The file system at {WHISPER} has 8 MiB free, and 538 are needed" in run.words, run.output
    assert "changed=0" in run.words, run.output
    assert not spare.file("/opt/graphing").exists
    # Made on the controller to be looked at; the restored host gets those of the backup.
    shutil.rmtree(spare_inventory / "secrets", ignore_errors=True)


def test_a_restored_host_answers_as_the_other_one(host, inventory, spare_inventory, spare, state):
    run = restored(
        spare_inventory, inventory / "backups" / NAME, inventory / "secrets" / NAME / "backup_passphrase", NAME
    )
    assert run.status == 0, run.output
    # What is on its way when the backup begins comes after it.
    settled = state["manifest"]["began"] - 60
    names = [
        name.removeprefix("whisper/").removesuffix(".wsp").replace("/", ".")
        for name in state["manifest"]["files"]
        if name.startswith("whisper/")
    ]
    # Windows that are over, of each archive that holds something: what is later than the backup is not in it.
    for step, length in ((10, 5 * 3600), (60, 24 * 3600), (600, 30 * 86400)):
        end = settled - settled % step - step
        given = [names, end - length, end]
        old, new = (json.loads(Site(each).python(RENDER, given)) for each in (host, spare))
        assert len(old) == len(names)
        assert [name for name in old if old[name] != new.get(name)] == [], f"differ at {step} s"
        if step == 10:
            assert sum(value is not None for points in old.values() for value, _ in points) > 1000


def test_its_units_are_as_the_site_writes_them(host, spare):
    """A restore begins with another play than site.yml does; in a container no unit may have users of its own."""
    sandboxed = "cd /etc/systemd/system && grep -l {} *.service"
    for each in (host, spare):
        assert each.run(sandboxed.format("PrivateTmp=yes")).stdout
        assert each.run(sandboxed.format("PrivateUsers=yes")).stdout == ""


def test_it_has_what_carbon_had_not_written_yet(spare, state):
    wanted = [f"stats.{state['bucket']}.{n}.count" for n in range(COUNT)]
    found = json.loads(Site(spare).python(RENDER, [wanted, state["stamps"][0] - 10, state["stamps"][-1]]))
    for stamp in state["stamps"]:
        values = {name: next(value for value, at in points if at == stamp) for name, points in found.items()}
        assert values == {f"stats.{state['bucket']}.{n}.count": n for n in range(COUNT)}


def test_it_keeps_what_came_while_it_was_restored(spare):
    """The aggregator sends again what carbon had got before the restored files took the place of the first ones."""
    aggregating, storing = (since(spare, unit) for unit in ("statsd", "carbon-cache@a"))
    assert aggregating + 30 < storing
    name = "statsd.metrics.count"
    points = json.loads(Site(spare).python(RENDER, [[name], max(aggregating + 10, storing - 500), storing]))[name]
    assert points
    assert all(value is not None for value, _ in points), points


def test_its_secrets_are_those_of_the_other_one(inventory, spare_inventory):
    for path in (inventory / "secrets" / NAME).iterdir():
        assert (spare_inventory / "secrets" / SPARE / path.name).read_bytes() == path.read_bytes()


def test_browsers_know_it_again(host, spare):
    """By the authority, whose key is the other one's; the certificate is for its own names."""
    for name in ("authority.pem", "authority.key"):
        path = f"/etc/graphing/tls/{name}"
        assert spare.file(path).sha256sum == host.file(path).sha256sum
        assert spare.file(path).mode == host.file(path).mode
    spare.check_output("openssl verify -CAfile /etc/graphing/tls/authority.pem /etc/graphing/tls/server.pem")


def test_nobody_uninstalls_by_a_slip(spare_inventory, spare):
    run = run_playbook("uninstall", spare_inventory)
    assert run.status != 0
    assert f"say -e uninstall_confirm={SPARE}" in run.words, run.output
    assert spare.service("statsd").is_running


def test_uninstalling_keeps_the_numbers(spare_inventory, spare):
    spare.check_output("systemctl stop carbon-c-relay carbon-cache@a")
    before = spare.check_output(HASHES)
    run = run_playbook("uninstall", spare_inventory, uninstall_confirm=SPARE)
    assert run.status == 0, run.output
    assert spare.check_output(HASHES) == before
    assert f"Kept {WHISPER.removesuffix('/whisper')}" in run.words, run.output


def test_uninstalling_all_leaves_the_host_as_it_was(spare_inventory, spare, bare):
    run = run_playbook("uninstall", spare_inventory, uninstall_confirm=SPARE, uninstall_data=True)
    assert run.status == 0, run.output
    assert differences(bare, bare_state(spare)) == {}
