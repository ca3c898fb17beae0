"""Certificates: which names they are for, which are refused, and how a host keeps one of its own."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "roles/nginx/files/certificate.py"


@pytest.fixture(scope="session")
def filters(load):
    return load("roles/nginx/filter_plugins/certificates.py")


def test_names_are_those_of_allowed_hosts(filters):
    hosts = ["graphs.example.org", ".example.net", "192.0.2.10", "[::1]", "*", "192.0.2.10"]
    expected = ["*.example.net", "192.0.2.10", "::1", "example.net", "graphs.example.org"]
    assert filters.certificate_names(hosts) == expected


class Host:
    """A directory in which a host keeps its certificate."""

    def __init__(self, directory):
        self.directory = directory

    def keep(
        self,
        *options,
        names=("graphs.example.org", "*.graphs.example.org", "192.0.2.10", "::1"),
        days=820,
        renew_days=90,
    ):
        wish = {
            "directory": str(self.directory),
            "host": "graphs",
            "names": names,
            "days": days,
            "renew_days": renew_days,
        }
        command = [sys.executable, str(SCRIPT), *options]
        run = subprocess.run(command, input=json.dumps(wish), capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stderr
        return run.stdout.splitlines()

    def read(self, name):
        return (self.directory / name).read_text()

    def all(self):
        return {path.name: path.read_text() for path in self.directory.iterdir()}


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """One that is made already; only to be looked at."""
    assert shutil.which("openssl"), "this test needs openssl: apt-get install openssl"
    host = Host(tmp_path_factory.mktemp("tls"))
    assert host.keep() == ["CHANGED authority: made", "CHANGED certificate: made"]
    return host


@pytest.fixture
def host(made, tmp_path):
    """A copy of it."""
    shutil.copytree(made.directory, tmp_path / "tls")
    return Host(tmp_path / "tls")


def test_a_check_makes_nothing(tmp_path):
    expected = ["CHANGED authority: made", "CHANGED certificate: made by the new authority"]
    assert Host(tmp_path).keep("--check") == expected
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_changes_nothing(host):
    before = host.all()
    assert host.keep() == ["OK"]
    assert host.all() == before
    assert set(before) == {"authority.pem", "authority.key", "server.pem", "server.key"}


def test_keys_are_roots_alone(made):
    modes = {path.name: path.stat().st_mode & 0o777 for path in made.directory.iterdir()}
    assert modes == {"authority.key": 0o600, "server.key": 0o600, "authority.pem": 0o644, "server.pem": 0o644}


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"names": ["graphs.example.org"]}, "made anew, as it was for other names"),
        ({"renew_days": 821}, "made anew, as it was near its end"),
    ],
)
def test_it_is_made_anew_by_the_same_authority(host, wish, why):
    before = host.all()
    assert host.keep("--check", **wish) == [f"CHANGED certificate: {why}"]
    assert host.all() == before
    assert host.keep(**wish) == [f"CHANGED certificate: {why}"]
    assert host.read("authority.pem") == before["authority.pem"]
    assert host.read("server.key") != before["server.key"]


def test_another_authority_signs_anew(host, tmp_path):
    before = host.all()
    (host.directory / "authority.pem").unlink()
    assert host.keep() == [
        "CHANGED authority: made anew, as its files were damaged",
        "CHANGED certificate: made anew, as it was another authority's",
    ]
    assert host.read("authority.key") != before["authority.key"]


def test_an_authority_outlives_what_it_signs(host):
    assert host.keep(days=3651)[0] == "CHANGED authority: made anew, as it was near its end"


@pytest.mark.parametrize("name", ["server.pem", "server.key"])
def test_a_damaged_pair_is_made_anew(host, name):
    (host.directory / name).write_text("nonsense")
    assert host.keep() == ["CHANGED certificate: made anew, as its files were damaged"]


def test_it_serves_its_names(made, filters):
    pair = made.read("server.pem"), made.read("server.key")
    for name in ("graphs.example.org", "a.graphs.example.org", "192.0.2.10", "::1"):
        assert filters.certificate_problems(*pair, name) == []


def test_it_serves_no_other_name(made, filters):
    pair = made.read("server.pem"), made.read("server.key")
    for name in ("example.org", "a.b.graphs.example.org", "192.0.2.11"):
        listed = "*.graphs.example.org, graphs.example.org, 192.0.2.10, ::1"
        assert filters.certificate_problems(*pair, name) == [f"the certificate is for {listed}, not for {name}"]


def test_it_serves_in_its_time_alone(made, filters):
    pair = made.read("server.pem"), made.read("server.key")
    now = datetime.now(UTC)
    begin = x509.load_pem_x509_certificate(pair[0].encode()).not_valid_before_utc
    after = filters.certificate_problems(*pair, "graphs.example.org", now + timedelta(days=821))
    before = filters.certificate_problems(*pair, "graphs.example.org", now - timedelta(days=1))
    assert after == [f"the certificate ended on {begin + timedelta(days=820):%Y-%m-%d}"]
    assert before == [f"the certificate begins on {begin:%Y-%m-%d}"]


def test_a_key_must_be_the_certificates(made, filters):
    problems = filters.certificate_problems(made.read("server.pem"), made.read("authority.key"), "graphs.example.org")
    assert problems == ["the key is not the certificate's (the server's own certificate stands first in the file)"]


def test_a_chain_is_in_order(made, filters):
    server, authority, key = made.read("server.pem"), made.read("authority.pem"), made.read("server.key")
    assert filters.certificate_problems(server + authority, key, "graphs.example.org") == []
    assert filters.certificate_problems(server + server, key, "graphs.example.org") == [
        "certificate 2 of the file did not sign the one before it"
    ]


def test_what_is_no_certificate_is_said_so(made, filters):
    server, key = made.read("server.pem"), made.read("server.key")
    assert "holds no PEM certificate" in filters.certificate_problems("nonsense", key, "x")[0]
    assert "holds no PEM key" in filters.certificate_problems(server, "nonsense", "x")[0]
    command = ["openssl", "pkey", "-in", str(made.directory / "server.key"), "-aes256", "-passout", "pass:secret"]
    locked = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "protected by a passphrase" in filters.certificate_problems(server, locked, "x")[0]
