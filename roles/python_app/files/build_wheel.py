"""Build the wheel of a distribution: build_wheel.py SOURCE OUTDIR; prints FILE SHA256.

The same source gives the same bytes, so that the hash tells whether a host has it already.
"""

import hashlib
import os
import pathlib
import sys

# The first second that a zip file can hold.
os.environ["SOURCE_DATE_EPOCH"] = "315532800"

try:
    from flit_core import buildapi
except ImportError:
    sys.exit(
        f"{sys.executable} has no flit_core: install this repository's requirements.txt into it, "
        "or set python_app_build_python to a Python that has it"
    )

source, outdir = (pathlib.Path(argument).resolve() for argument in sys.argv[1:3])
outdir.mkdir(parents=True, exist_ok=True)
os.chdir(source)
wheel = outdir / buildapi.build_wheel(str(outdir))
print(wheel, hashlib.sha256(wheel.read_bytes()).hexdigest())
