"""Faults as context managers: inside the fault is there, after it the host is as before. None waits for recovery."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator, Sequence

from site_under_test import Site

CARBON = "carbon-cache@a.service"
RELAY = "carbon-c-relay.service"
STATSD = "statsd.service"
WEB = "graphite-web.service"
WATCHDOG = "graphing-watchdog.service"
CARBON_CONF = "/etc/carbon/carbon.conf"
DISK = "/mnt/graphing-faults"
# On the disk of the host, not in memory.
IMAGE = "/var/tmp/graphing-faults.img"
BOOT = "/var/tmp/graphing-faults-boot"
ON_DISK = {"whisper": "/var/lib/graphite/whisper", "statsd": "/var/lib/statsd"}


# A container has none of its own; the host that `make test-faults` makes may use them.
LOOP_DEVICES = (
    "command -v mkfs.ext4 > /dev/null || { apt-get -q update && apt-get -qy install e2fsprogs; } > /dev/null;"
    " test -e /dev/loop-control || mknod /dev/loop-control c 10 237;"
    " for n in $(seq 0 15); do test -e /dev/loop$n || mknod /dev/loop$n b 7 $n; done"
)


def main_pid(site: Site, unit: str) -> int:
    """The main process of a unit; 0 for none."""
    return int(site.host.check_output("systemctl show --property=MainPID --value %s", unit))


def kill(site: Site, unit: str) -> None:
    """End the processes of a unit at whatever instruction they are; return when systemd has started it again."""
    before = main_pid(site, unit)
    site.host.check_output("systemctl kill --signal=KILL %s", unit)
    site.until(lambda: main_pid(site, unit) not in (0, before) and site.host.service(unit).is_running)


def restart(site: Site, unit: str) -> None:
    """Stop a unit and start it, as an upgrade does."""
    site.host.check_output(f"systemctl restart {unit}")


def during(act: Callable[[Site, str], None], site: Site, unit: str) -> tuple[float, float]:
    """Do something to a unit; from when to when that took, in seconds since 1970."""
    began = time.time()
    act(site, unit)
    return began, time.time()


@contextlib.contextmanager
def stopped(site: Site, *units: str) -> Iterator[None]:
    """Units that do not run."""
    site.host.check_output("systemctl stop " + " ".join(units))
    try:
        yield
    finally:
        site.host.check_output("systemctl start " + " ".join(units))


@contextlib.contextmanager
def frozen(site: Site, unit: str) -> Iterator[None]:
    """A process that lives but does nothing."""
    pid = main_pid(site, unit)
    site.host.check_output(f"kill -STOP {pid}")
    try:
        yield
    finally:
        site.host.check_output(f"kill -CONT {pid}")


@contextlib.contextmanager
def carbon_set(site: Site, *, ends_by_kill: bool = False, **settings: object) -> Iterator[None]:
    """Carbon-cache, restarted with other settings; afterwards restarted, or killed, to have its own again."""
    edits = " ".join(f"-e {shlex.quote(f's/^{name} = .*/{name} = {value}/')}" for name, value in settings.items())
    site.host.check_output(f"cp --preserve {CARBON_CONF} {CARBON_CONF}.before && sed -i {edits} {CARBON_CONF}")
    site.host.check_output(f"systemctl restart {CARBON}")
    try:
        yield
    finally:
        site.host.check_output(f"mv {CARBON_CONF}.before {CARBON_CONF}")
        if ends_by_kill:
            kill(site, CARBON)
        else:
            site.host.check_output(f"systemctl restart {CARBON}")


@contextlib.contextmanager
def small_disk(site: Site, megabytes: int, *, image: bool = False) -> Iterator[str]:
    """One small disk of its own, empty, for the numbers and for the aggregator's journal; gives where it is mounted.

    In memory, or with `image` an ext4 file system in the file IMAGE, which takes loop devices.
    """
    check = site.host.check_output
    if image:
        check(LOOP_DEVICES)
        check(f"truncate --size={megabytes}M {IMAGE} && mkfs.ext4 -q -F {IMAGE}")
    with contextlib.ExitStack() as stack:
        # A service sees what was mounted when it started.
        users = f"{CARBON} {WEB} {STATSD}"
        start = f"systemctl start {users} && systemctl try-restart {WATCHDOG}"
        check(f"systemctl stop {users} && mkdir -p {DISK}")
        stack.callback(check, f"{start}; rm -f {IMAGE} {IMAGE}.copy")
        check(f"mount -o loop {IMAGE} {DISK}" if image else f"mount -t tmpfs -o size={megabytes}m tmpfs {DISK}")
        stack.callback(check, f"umount {DISK}")
        for name, folder in ON_DISK.items():
            check(
                f"cd {DISK} && mkdir {name} && chown --reference={folder} {name} && chmod --reference={folder} {name}"
            )
        bind(site)
        stack.callback(unbind, site)
        # What the relay still has of the small disk's numbers must not come to the host's.
        stack.callback(check, f"systemctl stop {users} && systemctl kill --signal=KILL {RELAY}")
        check(start)
        yield DISK


def bind(site: Site) -> None:
    """Put the small disk's folders in the place of the host's."""
    for name, folder in ON_DISK.items():
        site.host.check_output(f"mount --bind {DISK}/{name} {folder}")


def unbind(site: Site) -> None:
    """Show the host's folders again."""
    for folder in ON_DISK.values():
        site.host.check_output(f"umount {folder}")


def free(site: Site, folder: str) -> int:
    """Bytes that are free."""
    return int(site.host.check_output(f"df --output=avail --block-size=1 {folder} | tail -1"))


@contextlib.contextmanager
def filled(site: Site, folder: str, leave: int = 0) -> Iterator[None]:
    """A file system with so many bytes left; by default, with none."""
    ballast = f"{folder}/ballast.{leave}"
    site.host.run(f"fallocate --length {free(site, folder) - leave} {ballast}")
    if not leave:
        # What came free meanwhile, or was too little for an allocation.
        site.host.run(f"dd if=/dev/zero bs=4096 count=65536 status=none >> {ballast}")
    try:
        yield
    finally:
        site.host.check_output(f"rm {ballast}")


def at_moments(moments: Sequence[float]) -> Iterator[float]:
    """Wait for one moment after the other, in seconds from now."""
    start = time.monotonic()
    for moment in moments:
        time.sleep(max(0.0, start + moment - time.monotonic()))
        yield moment


COPY_AT_REST = """
import json, shutil, sys, time
from pathlib import Path
image, copy, mounted = json.load(sys.stdin)
device = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1] == mounted)
statistics = Path("/sys/block") / Path(device).name / "stat"
written = lambda: statistics.read_text().split()[4]
for attempt in range(1, 200):
    before = written()
    shutil.copyfile(image, copy)
    if written() == before:
        print(attempt)
        break
    time.sleep(0.05)
else:
    sys.exit("the disk was never at rest for as long as a copy takes")
"""
"""Copy the image of a mounted file system between two of the kernel's writes to it: what a power failure leaves."""


class PowerFailure:
    """What is on the small disk's image at one moment, and nothing else, after a sudden end."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def happens(self) -> None:
        """Keep what is on the disk now; what is in memory only will be missing."""
        self._site.python(COPY_AT_REST, [IMAGE, f"{IMAGE}.copy", DISK])

    @contextlib.contextmanager
    def restart(self) -> Iterator[None]:
        """The services, started on what was kept, as after a boot: nothing of theirs is in memory."""
        check = self._site.host.check_output
        units = f"{STATSD} {RELAY} {CARBON} {WEB}"
        check(f"systemctl kill --signal=KILL {units}; systemctl stop {units}; rm -rf /run/statsd/*")
        unbind(self._site)
        check(f"umount {DISK} && mv {IMAGE}.copy {IMAGE} && mount -o loop {IMAGE} {DISK}")
        bind(self._site)
        # The kernel is still the same here; by its id of the boot the aggregator knows that carbon's cache is gone.
        check(f"cat /proc/sys/kernel/random/uuid > {BOOT} && mount --bind {BOOT} /proc/sys/kernel/random/boot_id")
        check(f"systemctl start {units}")
        try:
            yield
        finally:
            check(f"umount /proc/sys/kernel/random/boot_id; rm {BOOT}")
