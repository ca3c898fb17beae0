"""Ansible module: what must be known of a disk before numbers are kept on it."""

from __future__ import annotations

import os
import stat
import struct
import subprocess
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]  # ansible ships no types

DOCUMENTATION = """
module: data_device
short_description: What must be known of a disk before numbers are kept on it
description:
  - Looks at a disk and at the directory where it is to be mounted. Nothing changes.
options:
  device: {description: "The disk, or a link to it.", type: str, required: true}
  directory: {description: Where it is to be mounted., type: str, required: true}
"""
EXAMPLES = """
- name: Look at the disk
  data_device:
    device: /dev/sdb
    directory: /var/lib/graphite/whisper
"""
RETURN = """
disk:
  description: What was found.
  type: dict
  returned: always
  contains:
    block: {description: Whether it is a disk., type: bool}
    content: {description: "Its file system, or whatever else has left its mark; empty for nothing.", type: str}
    mounted_at: {description: Where it is mounted., type: list}
    directory_holds: {description: What is mounted on the directory; empty for nothing., type: str}
    directory_empty: {description: Whether the directory holds nothing., type: bool}
    growable_mib: {description: How much larger the disk is than the ext4 on it., type: int}
"""

NOTHING_FOUND = 2  # blkid's exit status for a disk without any mark


def is_block(path: str) -> bool:
    """Tell whether path is a block device, or a link to one."""
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


def content(device: str) -> str:
    """Return what lies on the device, by its own blocks and not by what blkid remembers of it."""
    run = subprocess.run(["blkid", "-p", "-o", "export", device], capture_output=True, text=True, check=False)
    if run.returncode not in (0, NOTHING_FOUND):
        return "something that cannot be told"
    found = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    if "TYPE" in found:
        return found["TYPE"]
    return f"a {found['PTTYPE']} partition table" if "PTTYPE" in found else ""


def mounts() -> list[tuple[str, str, str]]:
    """Return all that is mounted: (device number as MAJOR:MINOR, where, from what)."""
    with open("/proc/self/mountinfo") as lines:
        fields = [line.split() for line in lines]
    return [(one[2], one[4].encode().decode("unicode_escape"), one[one.index("-") + 2]) for one in fields]


def ext4_bytes(device: str) -> int:
    """Return the bytes of the ext4 on the device: the number and the size of its blocks, as its superblock tells."""
    with open(device, "rb") as disk:
        disk.seek(1024)
        block = disk.read(1024)
    low, log_size, incompatible, high = (int(struct.unpack_from("<I", block, at)[0]) for at in (4, 24, 0x60, 0x150))
    is_64bit = incompatible & 0x80
    return ((high if is_64bit else 0) << 32 | low) << (10 + log_size)


def device_bytes(device: str) -> int:
    """Return the bytes of the device."""
    with open(device, "rb") as disk:
        return disk.seek(0, os.SEEK_END)


def look(device: str, directory: str) -> dict[str, Any]:
    """Return what was found."""
    block = is_block(device)
    number = os.stat(device).st_rdev if block else 0
    own = f"{os.major(number)}:{os.minor(number)}"
    kind = content(device) if block else ""
    mounted = mounts()
    there = [source for _, where, source in mounted if where == directory]
    entries = os.listdir(directory) if os.path.isdir(directory) else []
    return {
        "block": block,
        "content": kind,
        "mounted_at": [where for which, where, _ in mounted if block and which == own],
        "directory_holds": there[-1] if there else "",
        "directory_empty": not entries,
        "growable_mib": (device_bytes(device) - ext4_bytes(device)) >> 20 if kind == "ext4" else 0,
    }


def main() -> None:
    """Do what the task says."""
    text = {"type": "str", "required": True}
    module = AnsibleModule(argument_spec={"device": text, "directory": text}, supports_check_mode=True)
    module.exit_json(changed=False, disk=look(module.params["device"], module.params["directory"]))


if __name__ == "__main__":
    main()
