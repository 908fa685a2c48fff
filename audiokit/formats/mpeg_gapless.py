"""What of decoded MP3 is presented: LAME's note of delay and padding, applied to the frames there are.

The note speaks of the whole stream: its first original sample stands behind the encoder's delay and
the decoder's own, its last one before the padding.  So a stream that was cut has none of the padding
left, or only the rest of it.  Pure functions, shared by the reader, which counts, and the decoder,
which cuts, so that both have the same length.  Raises nothing.
"""

from __future__ import annotations

from typing import NamedTuple, Optional

from audiokit.formats.mpeg_header import StreamNote

GRANULE = 576  # samples a channel
# Samples by which any decoder is late: 528 (ISO/IEC 11172-3 C.1.5.4.1), and one, by the note's rule
DECODER_DELAY = 529


class Stream(NamedTuple):
    """What was found of a stream behind its descriptive frame."""

    frames: int  # whole ones
    bytes: int  # from the descriptive frame to the end of the last whole one
    is_cut: bool  # it ends inside a frame


class Cut(NamedTuple):
    """Samples a channel that are not presented, of PCM that is decoded from all frames."""

    skip: int = 0  # in front
    drop: int = 0  # behind
    silent_granules: int = 0  # to decode behind the last frame, where the original ends in what rings on

    def presented(self, decoded: int) -> int:
        """What is left of so many samples, those of the silent granules not counted."""
        return max(decoded + self.silent_granules * GRANULE - self.skip - self.drop, 0)


def missing_frames(note: Optional[StreamNote], stream: Stream) -> int:
    """Frames that the note tells of and that are not there; below zero where there are more of them.

    Where the bytes that it tells of are there, none is missing whatever it says.  Some encoders count
    the descriptive frame, too: where it tells no bytes, one more is none.
    """
    if note is None or not note.frames or note.bytes == stream.bytes:
        return 0
    missing = note.frames - stream.frames
    is_all = missing == 1 if note.bytes is None else note.bytes <= stream.bytes
    return 0 if missing > 0 and is_all and not stream.is_cut else missing


def cut_of(note: Optional[StreamNote], samples_per_frame: int, missing: int = 0) -> Cut:
    """What is cut of a stream that lacks so many frames, see `missing_frames`; of a whole one it is the most.

    Nothing where the note does not tell, tells nothing but 0, or takes more than there was.
    """
    if note is None or not note.has_gapless or not (note.encoder_delay or note.encoder_padding):
        return Cut()
    told = (note.frames or 0) * samples_per_frame
    if told and note.encoder_delay + note.encoder_padding > told:
        return Cut()
    skip = note.encoder_delay + DECODER_DELAY
    if missing < 0:  # something follows that the note does not know of: its padding is amid the rest
        return Cut(skip)
    drop = note.encoder_padding - DECODER_DELAY - missing * samples_per_frame
    if missing or drop >= 0:
        return Cut(skip, max(drop, 0))
    silent = -(drop // GRANULE)
    return Cut(skip, drop + silent * GRANULE, silent)
