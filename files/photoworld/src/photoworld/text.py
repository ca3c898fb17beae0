"""What a person typed, checked against its limits. Shared by accounts and the forum."""


class Refused(ValueError):  # noqa: N818  - it is an answer to a person, not a fault
    """An input that the forum does not take; the message is meant for the person who typed it."""


def one_line(label: str, text: str, longest: int) -> str:
    """Return the text with its white space collapsed, or refuse it."""
    return _within(label, " ".join(text.split()), longest)


def many_lines(label: str, text: str, longest: int) -> str:
    """Return the text with plain line ends and no blank edges, or refuse it."""
    return _within(label, text.replace("\r\n", "\n").replace("\r", "\n").strip(), longest)


def _within(label: str, text: str, longest: int) -> str:
    if not text:
        raise Refused(f"{label} is empty.")
    if len(text) > longest:
        raise Refused(f"{label} has {len(text)} characters; {longest} is the most.")
    if any(ord(character) < 32 and character not in "\n\t" for character in text):
        raise Refused(f"{label} contains control characters.")
    return text
