"""What is done to stored series after the first run: retention, prune, rename.

The tools work on whisper files while carbon writes to them; `swap` is what makes that safe.
"""


class StoreError(Exception):
    """What stops a tool; `str()` is one sentence that names the file, the value and the remedy."""
