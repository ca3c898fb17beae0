"""Visitors who use the forum over HTTP like people do, so that there is something to graph."""
