"""One reader a container: random-access bytes in, an `AudioInfo` out, or `NotAudio` raised.

Never touches files, sockets, clocks or databases: a `Source` is handed in.
"""
