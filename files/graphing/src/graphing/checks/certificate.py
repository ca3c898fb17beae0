"""When the web server's certificate ends."""

import base64
import re
from datetime import UTC, datetime
from pathlib import Path

from graphing.checks.verdict import State, Verdict

_CHECK = "certificate"
_REMEDY = "Renew it and run playbooks/site.yml, which makes nginx load it."
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


def check_file(file: str, days: int, now: float) -> Verdict:
    """Look at a certificate's file."""
    try:
        pem = Path(file).read_text(encoding="ascii", errors="replace")
    except OSError as error:
        return Verdict(_CHECK, State.FAIL, f"{file}: {error.strerror}", _REMEDY)
    return check(file, pem, days, now)


def check(where: str, pem: str, days: int, now: float) -> Verdict:
    """Look at a certificate as PEM; `where` names it for people."""
    try:
        return judge(where, end_of(pem), days, now)
    except ValueError as error:
        return Verdict(_CHECK, State.FAIL, f"{where} {error}", _REMEDY)


def judge(where: str, end: float, days: int, now: float) -> Verdict:
    """Tell whether a certificate that ends at `end`, in seconds since 1970, lasts for `days` more."""
    left = (end - now) / 86_400
    day = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d")
    if left <= 0:
        return Verdict(_CHECK, State.FAIL, f"{where} ended on {day}", _REMEDY)
    if left < days:
        return Verdict(_CHECK, State.WARN, f"{where} ends in {left:.0f} days, on {day}", _REMEDY)
    return Verdict(_CHECK, State.OK, f"{where} lasts until {day}")


def end_of(pem: str) -> float:
    """Return when the first certificate of a PEM text ends, in seconds since 1970. Raises ValueError without one."""
    found = _PEM.search(pem)
    if not found:
        raise ValueError("holds no certificate")
    try:
        # RFC 5280: Certificate { tbsCertificate { [0] version, serial, signature, issuer, validity { from, to } ...
        certificate, _ = _value(base64.b64decode("".join(found[1].split()), validate=True))
        fields, _ = _value(certificate)
        if fields[:1] == b"\xa0":
            _, fields = _value(fields)
        for _ in ("serial", "signature", "issuer"):
            _, fields = _value(fields)
        validity, _ = _value(fields)
        _, to = _value(validity)
        return _time(to[0], _value(to)[0].decode("ascii"))
    except (IndexError, ValueError) as error:
        raise ValueError("holds a damaged certificate") from error


def _value(data: bytes) -> tuple[bytes, bytes]:
    """Return the content of the first element of DER, and what follows it."""
    length, start = data[1], 2
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(data[2:start], "big")
    if start + length > len(data):
        raise ValueError("cut short")
    return data[start : start + length], data[start + length :]


def _time(tag: int, text: str) -> float:
    if tag not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("no time")
    if tag == _UTC_TIME:
        # Two digits: up to 49 they are of this century.
        text = ("20" if text[:2] < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
