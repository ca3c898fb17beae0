"""No address of a package registry or mirror stands in the tree: pip, npm, apt, mmdebstrap and Docker know their own.

An address written here would override what a user, a company or a country has set up for all tools of a machine.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LISTING = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
KEPT = subprocess.run(LISTING, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")

REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|\b(deb|security|ftp[.a-z]*|snapshot)\.debian\.org|registry\.npmjs|npmjs\.com"
    r"|docker\.io/|hub\.docker\.com|ghcr\.io|quay\.io|galaxy\.ansible\.com|proxy\.golang\.org|crates\.io|rubygems\.org"
)


def registries(text: str) -> list[str]:
    return [match[0] for match in REGISTRY.finditer(text)]


def test_no_file_names_a_registry() -> None:
    found = {
        name: names
        for name in KEPT
        if name
        and (ROOT / name).is_file()
        # A picture holds any bytes.
        and (names := registries((ROOT / name).read_text(errors="ignore")))
    }
    assert found == {}


@pytest.mark.parametrize(
    "text",
    [
        "see https://" + "pypi" + ".org/project/statsd/",
        "URIs: http://security" + ".debian.org/debian-security",
        "mmdebstrap trixie root http://deb" + ".debian.org/debian",
        "FROM docker" + ".io/library/debian",
    ],
)
def test_a_registry_is_noticed(text: str) -> None:
    assert registries(text)


@pytest.mark.parametrize(
    "text", ["apt-get install docker.io iptables", "https://wiki.debian.org/Cloud", "debian:13-slim"]
)
def test_what_is_no_registry_is_let_through(text: str) -> None:
    assert registries(text) == []
