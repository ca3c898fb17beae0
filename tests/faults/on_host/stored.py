"""Print what the finest archives of whisper files hold: {path: {timestamp: value}}; null for a broken file.

Run by the Python of the release on the host, which has `graphing`.
"""

import json
import sys
from pathlib import Path

from graphing.whisperfile.content import decode
from graphing.whisperfile.layout import Broken


def points(path):
    """Every point of the finest archive; None if the file is not as its own header says."""
    try:
        return decode(path.read_bytes()).slots[0]
    except (OSError, Broken):
        return None


folder, pattern = json.load(sys.stdin)
print(json.dumps({str(path.relative_to(folder)): points(path) for path in Path(folder).glob(pattern)}))
