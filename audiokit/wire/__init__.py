"""HTTP/1.1 as bytes and values: heads, bodies, ranges, conditions, problems, and the reactor.

Knows nothing of audio, files of the catalogue or SQL.  Only `reactor` and `transfers` touch sockets.
"""
