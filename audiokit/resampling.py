"""Where a long conversion may be cut: the arithmetic of segments, and nothing else.

A segment is a range of samples of the *result*, whole frames of the encoder.  To make it, a worker needs a
little more than its share, because each stage looks beyond the edges of what it makes:

    source   |   lead   |  begin ........................ stop  |   tail   |
    resampled           |  skip  |  first .... end  |  ahead  |

The encoder looks `before` samples back and `ahead` samples on; the resampler begins at a multiple of its
groups (blocks, where it dithers: the noise belongs to a block), and looks `lead` frames of source back and
`tail` on.  Cut so, resampled segments put together are the whole bit for bit, whoever makes them; edges do
not depend on how many workers there are.

Pure functions of numbers; no files, no processes, never sees a sample.
"""

from __future__ import annotations

from typing import List, NamedTuple


class Grid(NamedTuple):
    """Where a resampler can begin anew: every `frames_in` of source, `frames_out` of result."""

    frames_in: int
    frames_out: int


class Reach(NamedTuple):
    """What has to be resampled for a segment."""

    begin: int  # frames of the source, a place of the grid
    stop: int  # a place of the grid, or the source's end
    skip: int  # samples of the result, made in front of the segment


def samples_out(frames: int, rate_in: int, rate_out: int) -> int:
    """How many samples of the result `frames` of source make: the nearest, halves up."""
    return (2 * frames * rate_out + rate_in) // (2 * rate_in)


def edges(samples: int, least: int, frame: int) -> List[int]:
    """The places where `samples` are cut: pieces of at least `least`, each but the last whole frames."""
    pieces = max(samples // max(least, frame), 1)
    places = {samples * piece // pieces // frame * frame for piece in range(pieces)}
    return sorted(places | {samples}) if samples else [0, 0]


def reach(first: int, end: int, frames: int, grid: Grid, before: int, ahead: int, is_last: bool) -> Reach:
    """What to resample of a source of `frames` for the samples `first` to `end` and their neighbours."""
    at = max(first - before, 0) // grid.frames_out
    stop = -(-(end + ahead) // grid.frames_out) * grid.frames_in
    return Reach(at * grid.frames_in, frames if is_last else min(stop, frames), first - at * grid.frames_out)
