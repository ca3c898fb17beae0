"""The command graphing-web. The environment must name graphite-web's settings.

Usage: graphing-web fixture [--check] | graphing-web index

fixture updates the database to what stdin declares (graphing_web/fixture.py); with --check it only says the changes.
index lists the names of all series, for the search of the web page.
"""

import sys

import django

from graphing_web import fixture


def write_index() -> None:
    """List the names of series, by asking the stores if they are on other hosts."""
    # graphite-web's modules look at the settings when they are imported.
    django.setup()
    from graphite.storage import write_index as write

    write()


def main() -> None:
    """Do what the arguments say."""
    match sys.argv[1:]:
        case ["fixture"]:
            fixture.main(check=False)
        case ["fixture", "--check"]:
            fixture.main(check=True)
        case ["index"]:
            write_index()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
