"""The one client of carbon-cache's query port, with the one safe reader of its pickles."""
