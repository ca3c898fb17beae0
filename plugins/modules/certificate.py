"""Ansible module: an authority of the host's own, and the certificate that it signs."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # ansible ships no types

DOCUMENTATION = """
module: certificate
short_description: An authority of the host's own, and the certificate that it signs
description:
  - The authority is made once, and its key leaves the host in encrypted backups alone.
  - The certificate is made anew when it is missing, damaged, not this authority's, within O(renew_days) of its end, or
    for other names than these.
  - The files are C(authority.pem), C(authority.key), C(server.pem) and C(server.key). Needs openssl 3.
options:
  directory: {description: Where the files are., type: path, required: true}
  host: {description: "The host's name, for people who look at the certificates.", type: str, required: true}
  names: {description: Names and addresses that the certificate is for., type: list, elements: str, required: true}
  days: {description: For how long a certificate is made., type: int, required: true}
  renew_days: {description: So many days before its end a certificate is made anew., type: int, required: true}
"""
EXAMPLES = """
- name: Generate the host's authority and its certificate
  certificate:
    directory: /etc/graphing/tls
    host: graphs
    names: [graphs.example.org, 192.0.2.10]
    days: 820
    renew_days: 90
"""
RETURN = """
changes: {description: "A sentence for each change, such as C(authority: made).", type: list, returned: always}
"""

AUTHORITY_DAYS = 3650
DAY = 86400
LONGEST_COMMON_NAME = 64

AUTHORITY = """
[req]
distinguished_name = subject
x509_extensions = extensions
prompt = no
[subject]
O = Photoworld Graphing
CN = {name}
[extensions]
basicConstraints = critical, CA:TRUE, pathlen:0
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
"""

SERVER = """
[req]
distinguished_name = subject
x509_extensions = extensions
prompt = no
[subject]
CN = {name}
[extensions]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
subjectAltName = @names
[names]
{names}
"""


def openssl(*arguments: object) -> str | None:
    """Return the output of an openssl command, or None when it fails."""
    run = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    return run.stdout if run.returncode == 0 else None


def address(text: str) -> str | None:
    """Return an IP address in its shortest form, or None."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def names_in(certificate: Path) -> set[str]:
    """Return the names and addresses that a certificate is for."""
    shown = openssl("x509", "-in", certificate, "-noout", "-ext", "subjectAltName") or ""
    entries = [entry.strip().partition(":") for entry in shown.partition("\n")[2].split(",")]
    return {address(value) or value for _, _, value in entries}


def fits(certificate: Path, key: Path) -> bool:
    """Tell whether the key is the certificate's."""
    public = openssl("x509", "-in", certificate, "-noout", "-pubkey")
    return public is not None and public == openssl("pkey", "-in", key, "-pubout")


def lives_for(certificate: Path, days: int) -> bool:
    """Tell whether the certificate is good for so many days yet."""
    return openssl("x509", "-in", certificate, "-noout", "-checkend", days * DAY) is not None


def make(settings: str, days: int, certificate: Path, key: Path, *signed_by: object) -> None:
    """Make a key and its certificate from openssl's settings: both there, or what was there before."""
    with tempfile.TemporaryDirectory(dir=certificate.parent) as scratch:
        made = Path(scratch)
        (made / "settings").write_text(settings)
        command = ["openssl", "req", "-x509", "-sha256"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
        command += ["-days", str(days), "-config", str(made / "settings"), *map(str, signed_by)]
        command += ["-keyout", str(made / "key"), "-out", str(made / "certificate")]
        subprocess.run(command, check=True, capture_output=True, text=True)
        (made / "key").chmod(0o600)
        (made / "certificate").chmod(0o644)
        # A run that ends between the two leaves a pair that does not fit: the next one makes it anew.
        os.replace(made / "key", key)
        os.replace(made / "certificate", certificate)


def pair_fault(certificate: Path, key: Path, days: int) -> str | None:
    """Return why there must be a new certificate with its key, if there must: it is to live for so many days."""
    if not certificate.exists() and not key.exists():
        return "made"
    if not fits(certificate, key):
        return "made anew, as its files were damaged"
    if not lives_for(certificate, days):
        return "made anew, as it was near its end"
    return None


def server_fault(certificate: Path, key: Path, authority: Path, names: set[str], renew_days: int) -> str | None:
    """Return why there must be a new certificate, if there must."""
    if fault := pair_fault(certificate, key, renew_days):
        return fault
    if openssl("verify", "-CAfile", authority, certificate) is None:
        return "made anew, as it was another authority's"
    if names_in(certificate) != names:
        return "made anew, as it was for other names"
    return None


def alternative_names(names: Iterable[str]) -> str:
    """Return the names as openssl's settings list them."""
    kinds = [("IP" if address(name) else "DNS", name) for name in sorted(names)]
    return "\n".join(f"{kind}.{number} = {name}" for number, (kind, name) in enumerate(kinds))


class Wish(NamedTuple):
    """What there is to be."""

    directory: Path
    host: str
    names: set[str]
    days: int
    renew_days: int

    def file(self, name: str) -> Path:
        """Return where one of the files is."""
        return self.directory / name


def keep(wish: Wish, check: bool) -> list[str]:
    """Bring the files to the wish; return what changed."""
    authority, authority_key = wish.file("authority.pem"), wish.file("authority.key")
    server, server_key = wish.file("server.pem"), wish.file("server.key")
    changes = []
    # It must outlive what it signs.
    why = pair_fault(authority, authority_key, wish.days)
    if why:
        changes.append(f"authority: {why}")
        if not check:
            common_name = f"Authority of {wish.host}"[:LONGEST_COMMON_NAME]
            make(AUTHORITY.format(name=common_name), AUTHORITY_DAYS, authority, authority_key)
    why = (
        "made by the new authority"
        if why and check
        else server_fault(server, server_key, authority, wish.names, wish.renew_days)
    )
    if why:
        changes.append(f"certificate: {why}")
        if not check:
            settings = SERVER.format(name=wish.host[:LONGEST_COMMON_NAME], names=alternative_names(wish.names))
            make(settings, wish.days, server, server_key, "-CA", authority, "-CAkey", authority_key)
    return changes


def main() -> None:
    """Do what the task says."""
    module = AnsibleModule(
        argument_spec={
            "directory": {"type": "path", "required": True},
            "host": {"type": "str", "required": True},
            "names": {"type": "list", "elements": "str", "required": True},
            "days": {"type": "int", "required": True},
            "renew_days": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    names = {address(name) or name for name in given["names"]}
    wish = Wish(Path(given["directory"]), given["host"], names, given["days"], given["renew_days"])
    try:
        changes = keep(wish, module.check_mode)
    except subprocess.CalledProcessError as error:
        module.fail_json(msg=f"openssl has failed: {error.stderr.strip()}")
    shown = "".join(f"+{change}\n" for change in changes)
    module.exit_json(changed=bool(changes), changes=changes, diff={"prepared": shown})


if __name__ == "__main__":
    main()
