#!/usr/bin/env python3
"""What must be known of a disk before numbers are kept on it; JSON on stdout: data_device.py DEVICE DIRECTORY.

{"block": true, "content": "ext4", "mounted_at": ["/mnt"], "directory_holds": "/dev/sdb", "directory_empty": true,
 "growable_mib": 0}. Nothing changes.
content: the file system, or whatever else has left its mark, such as a partition table; empty for nothing.
directory_holds: what is mounted on the directory; empty for nothing.
growable_mib: how much larger the disk is than the ext4 on it.
"""

import json
import os
import stat
import struct
import subprocess
import sys

NOTHING_FOUND = 2  # blkid's exit status for a disk without any mark


def is_block(path):
    """Whether path is a block device, or a link to one."""
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except OSError:
        return False


def content(device):
    """What lies on the device, by its own blocks and not by what blkid remembers of it."""
    run = subprocess.run(["blkid", "-p", "-o", "export", device], capture_output=True, text=True, check=False)
    if run.returncode not in (0, NOTHING_FOUND):
        return "something that cannot be told"
    found = dict(line.split("=", 1) for line in run.stdout.splitlines() if "=" in line)
    if "TYPE" in found:
        return found["TYPE"]
    return f"a {found['PTTYPE']} partition table" if "PTTYPE" in found else ""


def mounts():
    """All that is mounted: (device number as MAJOR:MINOR, where, from what)."""
    with open("/proc/self/mountinfo") as lines:
        fields = [line.split() for line in lines]
    return [(one[2], one[4].encode().decode("unicode_escape"), one[one.index("-") + 2]) for one in fields]


def ext4_bytes(device):
    """Bytes of the ext4 on the device: the number and the size of its blocks, as its superblock tells."""
    with open(device, "rb") as disk:
        disk.seek(1024)
        block = disk.read(1024)
    low, log_size, incompatible, high = (struct.unpack_from("<I", block, at)[0] for at in (4, 24, 0x60, 0x150))
    is_64bit = incompatible & 0x80
    return ((high if is_64bit else 0) << 32 | low) << (10 + log_size)


def device_bytes(device):
    """Bytes of the device."""
    with open(device, "rb") as disk:
        return disk.seek(0, os.SEEK_END)


def look(device, directory):
    """What was found."""
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


print(json.dumps(look(*sys.argv[1:])))
