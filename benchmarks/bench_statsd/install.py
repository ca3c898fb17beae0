"""Installs the peers under .cache/bench-statsd/peers: no package on the system, no service started."""

import os
import shutil
import sys
import sysconfig
import tarfile
from pathlib import Path

from bench_statsd import pystatsd_patch
from bench_statsd.tools import PEERS, TroubleError, call

ETSY_VERSION = "0.9.0"
PYSTATSD_VERSION = "0.1.10"
_SECONDS = 120
_COLLECTD = ["collectd-core", "libltdl7"]
_NETDATA = [
    *("netdata-core", "libcap2", "libjson-c5", "liblz4-1", "libmnl0", "libnetfilter-acct1", "libssl3", "libuuid1"),
    *("libuv1", "zlib1g"),
]


def etsy() -> Path:
    """Return the folder of etsy's statsd, from npm."""
    if shutil.which("node") is None:
        raise TroubleError("node is missing")
    folder = PEERS / f"etsy-{ETSY_VERSION}"
    if not _complete(folder):
        _start_afresh(folder)
        quiet = ["--no-audit", "--no-fund", "--omit=optional", "--ignore-scripts"]
        call(["npm", "install", "--prefix", str(folder), *quiet, f"statsd@{ETSY_VERSION}"], _SECONDS)
        _finish(folder, ETSY_VERSION)
    return folder / "node_modules" / "statsd"


def pystatsd() -> Path:
    """Return the folder of pystatsd's server, from PyPI, made to run on Python 3."""
    folder = PEERS / f"pystatsd-{PYSTATSD_VERSION}"
    if not _complete(folder):
        _start_afresh(folder)
        # Its setup.py imports its own modules the way of Python 2: these empty ones let it run.
        stubs = folder / "stubs"
        stubs.mkdir()
        (stubs / "statsd.py").write_text("Client = None\n")
        (stubs / "server.py").write_text("Server = None\n")
        call([sys.executable, "-m", "venv", str(folder / "venv")], _SECONDS)
        pip = str(folder / "venv" / "bin" / "pip")
        call([pip, "install", "setuptools<81", "wheel"], _SECONDS)
        options = ["--no-deps", "--no-build-isolation", "--no-binary=:all:", f"--dest={folder}"]
        environment = {**os.environ, "PYTHONPATH": str(stubs)}
        call([pip, "download", *options, f"pystatsd=={PYSTATSD_VERSION}"], _SECONDS, environment=environment)
        with tarfile.open(folder / f"pystatsd-{PYSTATSD_VERSION}.tar.gz") as archive:
            source = archive.extractfile(f"pystatsd-{PYSTATSD_VERSION}/pystatsd/server.py")
            if source is None:
                raise TroubleError("its package has no server.py")
            (folder / "pystatsd_server.py").write_text(pystatsd_patch.to_python3(source.read().decode()))
        _finish(folder, PYSTATSD_VERSION)
    return folder


def collectd() -> tuple[Path, str]:
    """Return the root that collectd's packages were unpacked to, and its version."""
    return _from_debian("collectd", _COLLECTD)


def netdata() -> tuple[Path, str]:
    """Return the root that netdata's packages were unpacked to, and its version."""
    return _from_debian("netdata", _NETDATA)


def libraries(root: Path) -> dict[str, str]:
    """Return the environment in which programs unpacked to a root find their libraries."""
    triplet = sysconfig.get_config_var("MULTIARCH") or f"{os.uname().machine}-linux-gnu"
    return {"LD_LIBRARY_PATH": f"{root}/usr/lib/{triplet}:{root}/lib/{triplet}"}


def _from_debian(name: str, packages: list[str]) -> tuple[Path, str]:
    folder = PEERS / name
    if not _complete(folder):
        _start_afresh(folder)
        # As root, apt downloads as another user, who may not write here.
        call(["apt-get", "-o", "APT::Sandbox::User=root", "download", *packages], _SECONDS, folder=folder)
        for archive in sorted(folder.glob("*.deb")):
            call(["dpkg-deb", "--extract", str(archive), str(folder / "root")], _SECONDS)
        main = next(folder.glob(f"{packages[0]}_*.deb"))
        _finish(folder, call(["dpkg-deb", "--field", str(main), "Version"], _SECONDS).strip())
    return folder / "root", (folder / ".version").read_text()


def _complete(folder: Path) -> bool:
    return (folder / ".version").exists()


def _start_afresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _finish(folder: Path, version: str) -> None:
    (folder / ".version").write_text(version)
