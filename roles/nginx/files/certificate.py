"""Keep an authority of this host's own and the certificate that it signs, and say what that changed.

    python3 -c '...' [--check] < {"directory": "/etc/graphing/tls", "host": "graphs", "names": ["graphs", "192.0.2.10"],
                                  "days": 820, "renew_days": 90}

The authority is made once, and its key leaves the host in encrypted backups alone. The certificate is made anew when it
is missing, damaged, not this authority's, within `renew_days` of its end, or for other names than these. Prints a line
`CHANGED what: why` for each, or `OK`. With --check nothing is written. Needs openssl 3.
"""

import ipaddress
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

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


def openssl(*arguments):
    """Output of an openssl command, or None when it fails."""
    run = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    return run.stdout if run.returncode == 0 else None


def address(text):
    """An IP address in its shortest form, or None."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def names_in(certificate):
    """The names and addresses that a certificate is for."""
    shown = openssl("x509", "-in", certificate, "-noout", "-ext", "subjectAltName") or ""
    entries = [entry.strip().partition(":") for entry in shown.partition("\n")[2].split(",")]
    return {address(value) or value for _, _, value in entries}


def fits(certificate, key):
    """Whether the key is the certificate's."""
    public = openssl("x509", "-in", certificate, "-noout", "-pubkey")
    return public is not None and public == openssl("pkey", "-in", key, "-pubout")


def lives_for(certificate, days):
    """Whether the certificate is good for so many days yet."""
    return openssl("x509", "-in", certificate, "-noout", "-checkend", days * DAY) is not None


def make(settings, days, certificate, key, *signed_by):
    """Make a key and its certificate from openssl's settings: both there, or what was there before."""
    with tempfile.TemporaryDirectory(dir=certificate.parent) as scratch:
        made = Path(scratch)
        (made / "settings").write_text(settings)
        command = ["openssl", "req", "-x509", "-sha256"]
        command += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]
        command += ["-days", str(days), "-config", str(made / "settings"), *map(str, signed_by)]
        command += ["-keyout", str(made / "key"), "-out", str(made / "certificate")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (made / "key").chmod(0o600)
        (made / "certificate").chmod(0o644)
        # A run that ends between the two leaves a pair that does not fit: the next one makes it anew.
        os.replace(made / "key", key)
        os.replace(made / "certificate", certificate)


def authority_fault(certificate, key, days):
    """Why there must be a new authority, or None."""
    if not certificate.exists() and not key.exists():
        return "made"
    if not fits(certificate, key):
        return "made anew, as its files were damaged"
    if not lives_for(certificate, days):
        return "made anew, as it was near its end"
    return None


def server_fault(certificate, key, authority, names, renew_days):
    """Why there must be a new certificate, or None."""
    if not certificate.exists() and not key.exists():
        return "made"
    if not fits(certificate, key):
        return "made anew, as its files were damaged"
    if not lives_for(certificate, renew_days):
        return "made anew, as it was near its end"
    if openssl("verify", "-CAfile", authority, certificate) is None:
        return "made anew, as it was another authority's"
    if names_in(certificate) != names:
        return "made anew, as it was for other names"
    return None


def alternative_names(names):
    """The names as openssl's settings list them."""
    kinds = [("IP" if address(name) else "DNS", name) for name in sorted(names)]
    return "\n".join(f"{kind}.{number} = {name}" for number, (kind, name) in enumerate(kinds))


def main():
    """Do what stdin says."""
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    wish = json.load(sys.stdin)
    names = {address(name) or name for name in wish["names"]}
    files = {
        name: Path(wish["directory"]) / name for name in ("authority.pem", "authority.key", "server.pem", "server.key")
    }
    authority, authority_key, server, server_key = files.values()
    changes = []
    # It must outlive what it signs.
    why = authority_fault(authority, authority_key, wish["days"])
    if why:
        changes.append(f"authority: {why}")
        if not check:
            common_name = f"Authority of {wish['host']}"[:LONGEST_COMMON_NAME]
            make(AUTHORITY.format(name=common_name), AUTHORITY_DAYS, authority, authority_key)
    why = (
        "made by the new authority"
        if why and check
        else server_fault(server, server_key, authority, names, wish["renew_days"])
    )
    if why:
        changes.append(f"certificate: {why}")
        if not check:
            settings = SERVER.format(name=wish["host"][:LONGEST_COMMON_NAME], names=alternative_names(names))
            make(settings, wish["days"], server, server_key, "-CA", authority, "-CAkey", authority_key)
    print("\n".join(f"CHANGED {change}" for change in changes) or "OK")


main()
