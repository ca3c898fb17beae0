"""Fixtures of more than one file of tests: engines, what a daemon sends to and hears, a full disk, a certificate."""

import errno
import os
import subprocess
import sys

import patient  # noqa: F401 - for its profile of Hypothesis
import pytest
from ports import reserve_port
from programs import no_program_outlives_its_test
from support import TWIN, Carbon, udp_socket

from graphing.statsd.engine import compiled

sys.path.insert(0, str(TWIN))

__all__ = ["no_program_outlives_its_test"]

ENGINES = ["python", "compiled"]


def pytest_report_header():
    return "" if compiled.is_available() else "no compiled engine: bin/twin needs a C compiler and Python's headers"


@pytest.fixture(params=ENGINES)
def engine_name(request):
    if request.param == "compiled" and not compiled.is_available():
        pytest.skip("the compiled engine is not built: bin/twin")
    return request.param


@pytest.fixture
def carbon():
    listener = Carbon()
    yield listener
    listener.close()


@pytest.fixture
def inbox():
    with udp_socket() as made:
        yield made


@pytest.fixture
def port():
    return reserve_port()


@pytest.fixture
def full_disk(monkeypatch):
    """A switch: how many bytes the next writes may still put on the disk; None for no limit."""
    room = [None]
    real = os.pwritev

    def pwritev(fd, parts, offset):
        data = b"".join(parts)
        if room[0] is not None and len(data) > room[0]:
            if room[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            data = data[: room[0]]
        if room[0] is not None:
            room[0] -= len(data)
        return real(fd, [data], offset)

    monkeypatch.setattr(os, "pwritev", pwritev)
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwritev(fd, [data], offset))
    return room


@pytest.fixture(scope="session")
def certificate_file(tmp_path_factory):
    """A certificate of 30 days."""
    file = tmp_path_factory.mktemp("certificate") / "made.pem"
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{file}.key"]
    subject = ["-subj", "/CN=graphs.example", "-addext", "subjectAltName=DNS:graphs.example"]
    command = ["openssl", "req", "-x509", *key, *subject, "-days", "30", "-out", str(file)]
    subprocess.run(command, check=True, capture_output=True)
    return file
