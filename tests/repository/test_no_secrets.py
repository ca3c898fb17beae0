"""Nothing secret is in the repository: files that git keeps are looked through for what looks like one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SECRETS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s+[A-Za-z0-9+/]{16}",
    "an AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a token": r"\b(?:ghp_|gho_|github_pat_|glpat-|xox[abp]-|sk-)[A-Za-z0-9_-]{20,}",
    "a password or a key": (
        r"(?i)\b\w*(?:password|passwd|secret_key|api_key|token)[\"']?\s*[:=]\s*[\"']?(?=[A-Za-z0-9+/_-]*\d)[A-Za-z0-9+/_-]{20,}"
    ),
    "a password in an address": r"://[^\s/:@{}$<>\"']+:[^\s/:@{}$<>\"']{8,}@",
}
# Made up for tests and in documentation: they open nothing.
HARMLESS = re.compile(r"AKIAIOSFODNN7EXAMPLE|example|testing|nonsense|another-password", re.IGNORECASE)


def found_in(text: str) -> list[str]:
    """What in the text looks like a secret, by its kind."""
    return [
        f"{kind}: {match[0][:40]}"
        for kind, pattern in SECRETS.items()
        for match in re.finditer(pattern, text)
        if not HARMLESS.search(match[0])
    ]


def kept_files() -> list[Path]:
    """The files that git keeps, or would keep."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_no_file_has_a_secret_in_it() -> None:
    files = kept_files()
    assert len(files) > 100
    found = {}
    for file in files:
        if file == Path(__file__).resolve():
            continue
        try:
            found[str(file.relative_to(ROOT))] = found_in(file.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue
    assert {name: what for name, what in found.items() if what} == {}


def test_secrets_beside_an_inventory_are_not_kept() -> None:
    for name in ("inventory/local", "inventory/mine", "molecule/default/inventory"):
        path = f"{name}/secrets/host/graphite_web_admin_password"
        asked = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=ROOT, check=False)
        assert asked.returncode == 0, path


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIIGLlamZUjJEnBzw\n",
        "aws: AKIAJ5Q7ZQ3VWXYZABCD",
        "graphite_web_admin_password: Qm3vX9pLr7TtKw2ZsYdNf4Hb",
        'SECRET_KEY = "k3Jh5l2K3j4h5kJH345lkjh345lkjh34"',
        "amqp://graphing:h7Gd83jdHs@rabbit/",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
    ],
)
def test_a_secret_is_recognised(text: str) -> None:
    assert found_in(text)


@pytest.mark.parametrize(
    "text",
    [
        'password: "{{ vault_bob }}"',
        "graphite_web_admin_password: another-password-than-the-first",
        "http://127.0.0.1:8080/",
    ],
)
def test_what_is_none_is_left_alone(text: str) -> None:
    assert not found_in(text)
