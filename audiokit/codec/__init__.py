"""Samples in and out: PCM, the MP3 decoder, the resampler, the MP3 encoder.

Never touches files, sockets, clocks or processes: bytes are handed in and come back.
"""
