"""The end of a certificate."""

import subprocess
from datetime import UTC, datetime

import pytest
from checks_support import FAIL, NOW, OK, WARN

from graphing.checks import certificate


def test_the_end_of_a_certificate_is_what_openssl_says(certificate_file):
    command = ["openssl", "x509", "-in", str(certificate_file), "-noout", "-enddate"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    end = datetime.fromtimestamp(certificate.end_of(certificate_file.read_text()), UTC)
    assert said == f"notAfter={end:%b} {end.day:>2} {end:%H:%M:%S %Y} GMT"


@pytest.mark.parametrize(
    ("days_before", "state", "what"),
    [(29, OK, "lasts until"), (21.01, OK, "lasts"), (20.9, WARN, "ends in 21 days"), (-0.1, FAIL, "ended on")],
)
def test_a_certificate_is_warned_of_in_time(certificate_file, days_before, state, what):
    end = certificate.end_of(certificate_file.read_text())
    found = certificate.check_file(str(certificate_file), 21, end - days_before * 86_400)
    assert found.state is state
    assert what in found.what


@pytest.mark.parametrize("damage", ["", "none", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"])
def test_a_file_without_a_certificate_fails(tmp_path, damage):
    file = tmp_path / "bad.pem"
    file.write_text(damage)
    found = certificate.check_file(str(file), 21, NOW)
    assert found.state is FAIL
    assert "certificate" in found.what


def test_a_certificate_cut_short_fails(certificate_file, tmp_path):
    lines = certificate_file.read_text().splitlines()
    file = tmp_path / "cut.pem"
    file.write_text("\n".join([*lines[:3], lines[-1]]))
    assert certificate.check_file(str(file), 21, NOW).what == f"{file} holds a damaged certificate"


def test_a_missing_file_fails(tmp_path):
    assert certificate.check_file(str(tmp_path / "none.pem"), 21, NOW).what.endswith(
        "none.pem: No such file or directory"
    )
