"""What a certificate is for, and whether one that is handed over can serve. Pure functions.

Names are those of hosts, as Django's ALLOWED_HOSTS has them: graphs.example.org, .example.org, 192.0.2.10, [::1].
"""

from __future__ import annotations

import fnmatch
import ipaddress
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def certificate_names(hosts: list[str]) -> list[str]:
    """The names and addresses of a certificate for hosts as ALLOWED_HOSTS lists them, sorted, each once.

    `*` says nothing of a name and is left out; `.example.org` is the domain and all below it.
    """
    names: set[str] = set()
    for host in hosts:
        bare = host.strip("[]")
        if bare.startswith("."):
            names |= {bare[1:], f"*{bare}"}
        elif bare != "*":
            names.add(bare)
    return sorted(names)


def _covers(certificate: x509.Certificate, name: str) -> bool:
    return any(entry == name or (entry.startswith("*.") and _below(entry, name)) for entry in _entries(certificate))


def _below(entry: str, name: str) -> bool:
    """Whether the name lies directly below the wildcard's domain."""
    return fnmatch.fnmatchcase(name, entry) and name.count(".") == entry.count(".")


def _entries(certificate: x509.Certificate) -> list[str]:
    """The names and addresses that the certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return names.get_values_for_type(x509.DNSName) + [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]


def certificate_problems(certificate: str, key: str, name: str, now: datetime | None = None) -> list[str]:
    """Why a PEM chain (the server's first) and its PEM key cannot serve a name now; an empty list when they can."""
    try:
        chain = x509.load_pem_x509_certificates(certificate.encode())
    except ValueError:
        return ["the certificate file holds no PEM certificate (-----BEGIN CERTIFICATE-----)"]
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return ["the key is protected by a passphrase, which nginx cannot ask for"]
    except ValueError:
        return ["the key file holds no PEM key (-----BEGIN PRIVATE KEY-----)"]
    return _chain_problems(chain, private, name, now or datetime.now(UTC))


def _chain_problems(chain: list[x509.Certificate], private: Any, name: str, now: datetime) -> list[str]:
    server = chain[0]
    problems = []
    if _public(server.public_key()) != _public(private.public_key()):
        problems.append("the key is not the certificate's (the server's own certificate stands first in the file)")
    if server.not_valid_after_utc <= now:
        problems.append(f"the certificate ended on {server.not_valid_after_utc:%Y-%m-%d}")
    if server.not_valid_before_utc > now:
        problems.append(f"the certificate begins on {server.not_valid_before_utc:%Y-%m-%d}")
    if not _covers(server, name):
        problems.append(f"the certificate is for {', '.join(_entries(server)) or 'no name'}, not for {name}")
    problems += [
        f"certificate {number} of the file did not sign the one before it"
        for number, (below, above) in enumerate(pairwise(chain), start=2)
        if below.issuer != above.subject
    ]
    return problems


def _public(key: Any) -> bytes:
    """A public key as bytes that can be compared."""
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


class FilterModule:
    """The filters as Ansible finds them."""

    def filters(self) -> dict[str, Any]:
        """Name to function."""
        return {"certificate_names": certificate_names, "certificate_problems": certificate_problems}
