"""Run the command line with `python -m photoworld`."""

import sys

from photoworld.cli import main

sys.exit(main())
