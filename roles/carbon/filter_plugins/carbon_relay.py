"""What carbon-c-relay hands on as it comes: whatever else is in a name it replaces by `_`, and two names become one."""

from __future__ import annotations

from collections.abc import Callable

SEPARATORS = ".;"
"""What means something in a name, to the relay too."""

ALONE = "-_:#"
"""The relay's own default beside letters and digits, for where nothing else looks at what becomes a file's path."""

ASCII = range(0x21, 0x7F)
# The relay compares bytes, but systemd and what reads its answers want characters that can be shown: these have the
# bytes that go on, and those that begin characters of two, three and four bytes.
FURTHER = range(0x100, 0x140)
FIRST = (0xA1, 0xC0, *range(0x140, 0x800, 0x40), 0x800, *range(0x1000, 0x10000, 0x1000))
FIRST_OF_FOUR = (0x10000, *range(0x40000, 0x110000, 0x40000))


def characters(guarded: bool) -> str:
    """Return the argument of `-c` as it stands in double quotes in a systemd unit, where % and $ are doubled.

    Guarded: all that can be shown, as carbon's guard refuses and counts what can be no name.
    """
    text = "".join(map(chr, (*ASCII, *FURTHER, *FIRST, *FIRST_OF_FOUR))) if guarded else ALONE
    given = (byte for byte in text.encode() if chr(byte) not in SEPARATORS)
    return "".join(f"\\x{byte:02x}" * (2 if byte in b"%$" else 1) for byte in given)


class FilterModule:
    """The filters as Ansible finds them."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Name to function."""
        return {"carbon_relay_characters": characters}
