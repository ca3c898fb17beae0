"""What stands in the way of the places that roles write to: full, read-only or too few inodes.

Pure functions of the places that the roles hand over (`host_places`) and of what module host_probe saw of
them. Each file system is judged once, with all that lies on it: a role asks for its largest place there, and roles
add up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

Place = Mapping[str, Any]
Seen = Mapping[str, Mapping[str, Any]]


def place_problems(places: list[Place], seen: Seen, installed: bool) -> list[str]:
    """What is wrong with the places: sentences with their remedies.

    A place has `path`, `role`, `mib` and perhaps `files` (what the first run takes there), `reserve_mib` (what must be
    free at every run), `setting` (the variable that asks for it) and `remedy` (how to make it larger). `seen` is by
    path: `mount`, `free_mib`, `free_files` (none where the file system makes inodes as it needs them) and `read_only`.
    Where the platform is `installed`, the reserve alone counts.
    """
    found = []
    for mount, together in _by_mount(places, seen).items():
        state = seen[together[0]["path"]]
        if state["read_only"]:
            found.append(_read_only(mount, together))
            continue
        asked = {"MiB": _asked(together, _mib(installed)), "inodes": _asked(together, _files(installed))}
        free = {"MiB": state["free_mib"], "inodes": state["free_files"]}
        found += [_short(mount, unit, free[unit], asked[unit]) for unit in free if _is_short(free[unit], asked[unit])]
    return found


def _by_mount(places: list[Place], seen: Seen) -> dict[str, list[Place]]:
    """The places on each file system."""
    found: dict[str, list[Place]] = {}
    for place in places:
        found.setdefault(seen[place["path"]]["mount"], []).append(place)
    return found


def _mib(installed: bool) -> Callable[[Place], int]:
    return lambda place: int(place.get("reserve_mib", 0)) + (0 if installed else int(place["mib"]))


def _files(installed: bool) -> Callable[[Place], int]:
    return lambda place: 0 if installed else int(place.get("files", 0))


def _asked(places: Iterable[Place], need: Callable[[Place], int]) -> dict[str, tuple[int, Place]]:
    """What each role asks for, and for which of its places."""
    found: dict[str, tuple[int, Place]] = {}
    for place in places:
        if need(place) > found.get(place["role"], (0,))[0]:
            found[place["role"]] = need(place), place
    return found


def _is_short(free: int | None, asked: Mapping[str, tuple[int, Place]]) -> bool:
    return free is not None and free < sum(need for need, _ in asked.values())


def _short(mount: str, unit: str, free: int, asked: Mapping[str, tuple[int, Place]]) -> str:
    total = sum(need for need, _ in asked.values())
    parts = ", ".join(f"{need} for {place['path']} (role {role})" for role, (need, place) in asked.items())
    mib_alone = unit == "MiB"
    settings = [place["setting"] for _, place in asked.values() if mib_alone and place.get("setting")]
    larger = [place["remedy"] for _, place in asked.values() if mib_alone and place.get("remedy")]
    larger = larger or ["give it a larger disk"]
    remedies = ["Free some there", *larger, *(f"lower {name} if you know better" for name in settings)]
    return (
        f"The file system at {mount} has {free} {unit} free, and {total} are needed: {parts}. {', or '.join(remedies)}."
    )


def _read_only(mount: str, places: list[Place]) -> str:
    paths = ", ".join(dict.fromkeys(place["path"] for place in places))
    return (
        f"The file system at {mount} is read-only, and {paths} would be written there. "
        f"See why (dmesg), then: mount -o remount,rw {mount}"
    )


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Name it."""
        return {"host_place_problems": place_problems}
