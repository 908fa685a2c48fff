"""What is decoded: where samples lie in one piece behind a head, and nowhere else."""

from __future__ import annotations

import io
import struct

import audio_files
import pytest
from support import wav
from test_formats_matroska import block, cluster, element, info, movie, track

import audiometa
from audiokit.codec import resample
from audiokit.offers import SOURCE_RATES, WAV_RATES, is_decoded
from audiokit.transcoding import convert

SAMPLES = list(struct.unpack("<400h", wav(0.05)[44:]))
BIG = struct.pack(">400h", *SAMPLES)
CAF = {"rate": 8000.0, "packet_bytes": 2, "channels": 1}


@pytest.mark.parametrize("data, container", [
    (wav(0.05), "wav"),
    (audio_files.au(3, 8000, 1, BIG), "au"),
    (audio_files.au(3, 8000, 1, struct.pack("<400h", *SAMPLES), magic=b"dns."), "au"),
    (audio_files.caf(data=BIG, **CAF), "caf"),
    (audio_files.caf(data=struct.pack("<400h", *SAMPLES), flags=2, **CAF), "caf"),
], ids=["wav", "au", "au, little-endian", "caf", "caf, little-endian"])
def test_what_is_decoded_has_the_same_samples_in_every_container(tmp_path, data, container):
    source = io.BytesIO(data)
    found = audiometa.identify(source)
    assert found.container == container and is_decoded(found.container, found.codec)
    what = {"format": "wav", "rate": 8000, "channels": 1, "bitrate": None, "quality": None, "dither": "none"}
    convert(source, found, str(tmp_path / "out"), what, print)
    assert list(struct.unpack("<400h", (tmp_path / "out").read_bytes()[44:])) == SAMPLES


PCM_IN_MATROSKA = movie(info(), element("1654ae6b", track("A_PCM/INT/LIT", 8000, 1, 16)), cluster(block(bytes(320))))
NOT_DECODED = [
    (PCM_IN_MATROSKA, "blocks have heads of their own between the samples"),
    (audio_files.mp4(), "tables say where the samples are"),
    (audio_files.flac(), "nobody here makes samples of it"),
    (audio_files.dsf(), "one bit a sample"),
]


@pytest.mark.parametrize("data, why", NOT_DECODED, ids=[why for _, why in NOT_DECODED])
def test_what_is_not_decoded_is_known_before_a_worker_is_asked(data, why):
    found = audiometa.identify(io.BytesIO(data))
    assert not is_decoded(found.container, found.codec), why


def test_the_rates_that_are_offered_are_those_of_the_resampler():
    """Two tables, since the server does not load the codec."""
    assert WAV_RATES == (resample.MIN_RATE, resample.MAX_RATE)
    assert SOURCE_RATES == (resample.MIN_SOURCE_RATE, resample.MAX_SOURCE_RATE)
