"""`python -m graphing` is the same as the command `graphing`."""

import sys

from graphing.cli import main

sys.exit(main())
