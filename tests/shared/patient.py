"""Hypothesis without its deadline of 200 ms for an example: on a busy machine any example may take longer."""

from hypothesis import settings

settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
