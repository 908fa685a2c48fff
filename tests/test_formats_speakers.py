"""Which loudspeaker a channel is meant for, as WAV, AIFF-C and CAF tell it."""

from __future__ import annotations

import struct

import pytest

from audiokit.formats.speakers import of_layout, of_mask
from tests.audio_files import caf
from tests.format_kinds import chunk, fmt, identify, riff
from tests.test_formats_riff import GUID

MASKS = [
    # mask, channels, speakers, why
    (0x3, 2, "FL FR", "stereo"),
    (0x3F, 6, "FL FR FC LFE BL BR", "5.1 with backs"),
    (0x60F, 6, "FL FR FC LFE SL SR", "5.1 with sides"),
    (0xB, 3, "FL FR LFE", "2.1: the third is no centre"),
    (0x107, 4, "FL FR FC BC", "4.0: the fourth is behind"),
    (0x63F, 8, "FL FR FC LFE BL BR SL SR", "7.1"),
    (0xFF, 8, "FL FR FC LFE BL BR FLC FRC", "7.1 with wide fronts"),
    (0x2D63F, 12, "FL FR FC LFE BL BR SL SR TFL TFR TBL TBR", "7.1.4"),
    (0x600, 2, "SL SR", "the pair of the sides alone"),
    (0x3F, 4, "FL FR FC LFE", "bits beyond the channels mean none of them"),
    (0x3, 4, "FL FR - -", "channels beyond the bits are meant for none"),
    (0, 6, "", "0: nothing is told"),
    (0x80000000, 2, "", "all that is reserved"),
    (0x3F, 70, "", "more channels than any layout"),
]


@pytest.mark.parametrize("mask, channels, speakers, why", MASKS, ids=[row[-1] for row in MASKS])
def test_a_mask_names_speakers_in_the_order_of_its_bits(mask, channels, speakers, why):
    assert of_mask(mask, channels) == tuple(speakers.replace("-", "").split(" ") if speakers else ())


def layout(tag, bitmap=0, labels=()):
    """Apple's channel layout, of a tag, a bitmap or descriptions."""
    described = b"".join(struct.pack(">II3f", label, 0, 0, 0, 0) for label in labels)
    return struct.pack(">III", tag, bitmap, len(labels)) + described


LAYOUTS = [
    (layout(121 << 16 | 6), 6, "FL FR FC LFE BL BR", "MPEG 5.1 A"),
    (layout(124 << 16 | 6), 6, "FC FL FR BL BR LFE", "MPEG 5.1 D, as films have it"),
    (layout(128 << 16 | 8), 8, "FL FR FC LFE SL SR BL BR", "MPEG 7.1 C"),
    (layout(1 << 16, 0x60F), 6, "FL FR FC LFE SL SR", "a bitmap"),
    (layout(0, 0, (3, 1, 2, 33, 34, 37)), 6, "FC FL FR BL BR LFE", "a label for each"),
    (layout(0, 0, (1, 2, 65535)), 3, "FL FR -", "a label that is none"),
    (layout(121 << 16 | 6), 5, "", "not of so many channels"),
    (layout(999 << 16 | 6), 6, "", "an unknown tag"),
    (layout(0), 2, "", "no descriptions"),
    (layout(121 << 16 | 6)[:11], 6, "", "cut"),
]


@pytest.mark.parametrize("data, channels, speakers, why", LAYOUTS, ids=[row[-1] for row in LAYOUTS])
def test_apples_layouts_are_tags_bitmaps_or_labels(data, channels, speakers, why):
    assert of_layout(data, channels) == tuple(speakers.replace("-", "").split(" ") if speakers else ())


def test_every_beginning_of_a_layout_is_one_or_none():
    whole = layout(0, 0, (1, 2, 3, 4, 5, 6))
    for length in range(len(whole) + 1):
        assert len(of_layout(whole[:length], 6)) in (0, 6)


def test_readers_say_what_their_files_tell():
    extra = struct.pack("<HIH", 16, 0x107, 1) + GUID
    wav = riff(fmt(0xFFFE, 4, 8000, 16, extra=extra), chunk(b"data", bytes(800)))
    assert identify(wav).speakers == ("FL", "FR", "FC", "BC")
    assert identify(riff(fmt(1, 4), chunk(b"data", bytes(800)))).speakers == ()

    said = layout(123 << 16 | 6)
    plain = caf(channels=6, packet_bytes=12)
    data = plain[:52] + b"chan" + struct.pack(">q", len(said)) + said + plain[52:]
    assert identify(data).speakers == ("FL", "FC", "FR", "BL", "BR", "LFE")
    assert identify(plain).speakers == ()

    common = chunk(b"COMM", struct.pack(">hIhHQ4s2x", 6, 10, 16, 16383 + 12, 8000 << 51, b"NONE"), order=">")
    sound = chunk(b"SSND", bytes(8 + 120), order=">")
    body = b"AIFC" + common + chunk(b"CHAN", said, order=">") + sound
    info = identify(b"FORM" + struct.pack(">I", len(body)) + body)
    assert (info.samples, info.speakers) == (10, ("FL", "FC", "FR", "BL", "BR", "LFE"))
