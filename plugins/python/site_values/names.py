"""Names of variables that nobody knows, so that a misspelt one stops a run instead of being ignored.

Pure: the names that are set and those that are known go in, sentences come out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


def common_role(options: list[str]) -> str:
    """Guess the role from the words that all of its options begin with."""
    words = [option.split("_") for option in options]
    common = []
    # The last word of an option is never the role's.
    for same in zip(*(option[:-1] for option in words), strict=False):
        if len(set(same)) > 1:
            break
        common.append(same[0])
    return "_".join(common)


def unknown_variables(
    names: Iterable[str],
    specs: Mapping[str, object] | Iterable[str],
    renamed: Mapping[str, str] | None = None,
    owner: str | None = None,
) -> list[str]:
    """Return a message for each of the names that is not an option of the role.

    The specs are the option names, or the options of an argument_specs entry as they are. Names that begin
    with an underscore are a role's own business. Renamed ones, old to new, are reported with their successor.
    Say whose the options are if they are not a role's, or may share more words than its name: it is guessed otherwise.
    """
    options = sorted(set(specs))
    renamed = renamed or {}
    owner = owner or f"role {common_role(options)}"
    messages = []
    for name in sorted(set(names)):
        if name in options or name.startswith("_"):
            continue
        if name in renamed:
            messages.append(f"{name} was renamed to {renamed[name]}")
            continue
        close = difflib.get_close_matches(name, options, n=1, cutoff=0.75)
        hint = f" (did you mean {close[0]}?)" if close else ""
        messages.append(f"{name} is not a variable of {owner}{hint}")
    return messages
