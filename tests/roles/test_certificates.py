"""Certificates: which names they are for, which are refused, and how a host keeps one of its own."""

import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from modules import Failed, run_module


@pytest.fixture(scope="session")
def filters(load):
    return load("roles/nginx/filter_plugins/certificates.py")


def test_names_are_those_of_allowed_hosts(filters):
    hosts = ["graphs.example.org", ".example.net", "192.0.2.10", "[::1]", "*", "192.0.2.10"]
    expected = ["*.example.net", "192.0.2.10", "::1", "example.net", "graphs.example.org"]
    assert filters.certificate_names(hosts) == expected


class Host:
    """A directory in which a host keeps its certificate, by the module's `keep`."""

    def __init__(self, module, directory):
        self.module, self.directory = module, directory

    def keep(
        self,
        check=False,
        names=("graphs.example.org", "*.graphs.example.org", "192.0.2.10", "::1"),
        days=820,
        renew_days=90,
    ):
        return self.module.keep(self.module.Wish(self.directory, "graphs", set(names), days, renew_days), check)

    def read(self, name):
        return (self.directory / name).read_text()

    def all(self):
        return {path.name: path.read_text() for path in self.directory.iterdir()}


@pytest.fixture(scope="session")
def module(load):
    return load("plugins/modules/certificate.py")


@pytest.fixture(scope="session")
def made(module, tmp_path_factory):
    """One that is made already; only to be looked at."""
    assert shutil.which("openssl"), "this test needs openssl: apt-get install openssl"
    host = Host(module, tmp_path_factory.mktemp("tls"))
    assert host.keep() == ["authority: made", "certificate: made"]
    return host


@pytest.fixture
def host(made, tmp_path):
    """A copy of it."""
    shutil.copytree(made.directory, tmp_path / "tls")
    return Host(made.module, tmp_path / "tls")


def test_a_check_makes_nothing(module, tmp_path):
    expected = ["authority: made", "certificate: made by the new authority"]
    assert Host(module, tmp_path).keep(check=True) == expected
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_changes_nothing(host):
    before = host.all()
    assert host.keep() == []
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
    assert host.keep(check=True, **wish) == [f"certificate: {why}"]
    assert host.all() == before
    assert host.keep(**wish) == [f"certificate: {why}"]
    assert host.read("authority.pem") == before["authority.pem"]
    assert host.read("server.key") != before["server.key"]


def test_another_authority_signs_anew(host, tmp_path):
    before = host.all()
    (host.directory / "authority.pem").unlink()
    assert host.keep() == [
        "authority: made anew, as its files were damaged",
        "certificate: made anew, as it was another authority's",
    ]
    assert host.read("authority.key") != before["authority.key"]


def test_an_authority_outlives_what_it_signs(host):
    assert host.keep(days=3651)[0] == "authority: made anew, as it was near its end"


@pytest.mark.parametrize("name", ["server.pem", "server.key"])
def test_a_damaged_pair_is_made_anew(host, name):
    (host.directory / name).write_text("nonsense")
    assert host.keep() == ["certificate: made anew, as its files were damaged"]


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


def test_the_module_says_what_it_changed_and_why(module, capsys, tmp_path):
    # As the role writes them: addresses in any form, which are compared in their shortest.
    given: dict[str, Any] = {
        "directory": str(tmp_path),
        "host": "graphs",
        "names": ["graphs", "0:0::1"],
        "days": 820,
        "renew_days": 90,
    }
    changes = ["authority: made", "certificate: made by the new authority"]
    assert run_module(module, capsys, check=True, **given)["changes"] == changes
    answer = run_module(module, capsys, **given)
    assert (answer["changed"], answer["changes"]) == (True, ["authority: made", "certificate: made"])
    assert answer["diff"]["prepared"] == "+authority: made\n+certificate: made\n"
    answer = run_module(module, capsys, **given)
    assert (answer["changed"], answer["changes"]) == (False, [])


def test_the_module_says_what_openssl_said(module, capsys, tmp_path):
    given: dict[str, Any] = {
        "directory": str(tmp_path),
        "host": "graphs",
        "names": ["a b,c"],
        "days": -1,
        "renew_days": 90,
    }
    with pytest.raises(Failed, match="openssl has failed: "):
        run_module(module, capsys, **given)
