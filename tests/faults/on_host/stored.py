"""Print what the finest archives of whisper files hold: {path: {timestamp: value}}; null for a broken file."""

import json
import struct
import sys
from pathlib import Path


def points(path):
    """Every point of the finest archive; None if the file is not as its own header says."""
    try:
        data = path.read_bytes()
        _, _, _, archives = struct.unpack_from(">LLfL", data)
        infos = [struct.unpack_from(">LLL", data, 16 + 12 * number) for number in range(archives)]
        if not infos or len(data) < max(offset + 12 * count for offset, _, count in infos):
            return None
        offset, step, count = infos[0]
        found = struct.iter_unpack(">Ld", data[offset : offset + 12 * count])
        return {stamp: value for stamp, value in found if stamp and stamp % step == 0}
    except (OSError, struct.error):
        return None


folder, pattern = json.load(sys.stdin)
print(json.dumps({str(path.relative_to(folder)): points(path) for path in Path(folder).glob(pattern)}))
