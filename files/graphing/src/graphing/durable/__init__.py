"""The queue on disk that every sender of this package shares: what was accepted is written down before it is sent.

`span` counts, `record` packs, `mark` remembers how far delivery came, `journal` is the folder of segments,
`spool` the memory in front of it, `inbox` what is handed over, `delivery` what is sent next.
"""
