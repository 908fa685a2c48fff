"""The smallest real things that tests need: audio made in pure Python, the corpus where it is at hand."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Dict

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"  # beside a checkout in CI; absent elsewhere, and then said
CORPUS = SHARED / "corpus"
VECTORS = SHARED / "mpeg" / "vectors"

needs_corpus = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="skipped: the corpus is not beside this checkout"
)
needs_vectors = pytest.mark.skipif(
    not VECTORS.is_dir(), reason="skipped: the MPEG vectors are not beside this checkout"
)


def expected() -> Dict[str, dict]:
    """What is true of each corpus file, by its path below the corpus; empty where there is none."""
    path = CORPUS / "expected.json"
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def wav(seconds: float = 0.1, rate: int = 8000, channels: int = 1, pitch_hz: float = 440.0) -> bytes:
    """A small true WAV: 16-bit PCM, a sine at half scale."""
    frames = round(seconds * rate)
    samples = [
        round(16000 * math.sin(2 * math.pi * pitch_hz * n / rate)) for n in range(frames) for _ in range(channels)
    ]
    data = struct.pack("<%dh" % len(samples), *samples)
    fmt = struct.pack("<IHHIIHH", 16, 1, channels, rate, rate * channels * 2, channels * 2, 16)
    return b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + fmt + b"data" + struct.pack("<I", len(data)) + data
