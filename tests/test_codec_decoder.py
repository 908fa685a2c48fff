"""The MP3 decoder against the conformance streams, its own chunking, its segments and damage."""

from __future__ import annotations

import math
from array import array

import pytest

from audiokit.codec.decoder import Decoder
from tests.support import VECTORS, needs_vectors

# Streams whose reference output known decoders agree on.
AGREED = (
    "M2L3_bitrate_16_all", "M2L3_compl24", "l3-compl", "l3-he_44khz", "l3-he_free",
    "l3-hecommon", "l3-si", "l3-si_block",
)  # fmt: skip
MAX_RMS = 0.29  # last places of 16 bits
MIN_PSNR_DB = 96


def errors(pcm, reference):
    """(rms error in last places, peak signal to noise ratio in dB) over what both have."""
    a, b = array("h", pcm), array("h", reference)
    square = sum((x - y) ** 2 for x, y in zip(a, b)) / min(len(a), len(b))
    return math.sqrt(square), 10 * math.log10(32767**2 / square) if square else math.inf


def decode(data, chunk=0, **options):
    decoder = Decoder(**options)
    step = chunk or max(len(data), 1)
    parts = [decoder.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join(parts) + decoder.finish(), decoder


@needs_vectors
@pytest.mark.parametrize("name", AGREED)
def test_the_front_of_every_agreed_stream_is_right_to_the_last_place(name):
    data = (VECTORS / (name + ".bit")).read_bytes()[:20000]
    reference = (VECTORS / (name + ".pcm")).read_bytes()
    pcm, decoder = decode(data, gapless=False)
    assert decoder.report.frames_muted == 0
    rms, psnr = errors(pcm, reference)
    assert rms <= MAX_RMS and psnr >= MIN_PSNR_DB
