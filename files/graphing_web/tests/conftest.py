"""Django and graphite-web come with Debian, and are not here."""

import graphite_stand_ins  # noqa: F401 - they must be there before the package is imported
