"""Bytes that repeat as a table, a picture or a fill does, and imitate frames by it.

What repeats every few bytes repeats its beginning, too: where that looks like a frame header, another
stands at any distance, and frames follow one another for as long as the pattern lasts.  The rule holds
for every bare stream, whose readers know by syncwords alone where frames are.  Raises nothing.
"""

from __future__ import annotations


def is_pattern(frame: bytes, header_bytes: int = 4) -> bool:
    """Whether `frame` is nothing but its own first bytes, its header among them, again and again; or
    has its header twice in a row.  No coder makes such frames.
    """
    period = frame.find(frame[:header_bytes], 1, len(frame) // 2 + header_bytes)
    return period == header_bytes or period > 0 and frame.startswith(frame[period:])
