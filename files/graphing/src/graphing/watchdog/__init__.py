"""The daemon that looks at this host again and again, without carbon's help, and says when something changes.

`alarms` decides (pure), `state` is the file that `graphing doctor` reads, `notify` tells others, `server` is the loop.
"""
