"""The sha256 of a file that is still growing, by who follows the writer."""

from __future__ import annotations

import hashlib
import os
import random

import pytest

from audiokit.digests import FollowingDigest

NOISE = random.Random(1).getrandbits(8 * 400_000).to_bytes(400_000, "little")

pytestmark = pytest.mark.skipif(not hasattr(os, "preadv"), reason="skipped: no preadv here")


class Crew:
    """Tasks that run when the test says so."""

    def __init__(self):
        self.tasks = []

    def submit(self, task):
        self.tasks.append(task)

    def work(self):
        while self.tasks:
            self.tasks.pop(0)()


class Piece:
    """Lent memory, and how often it came back."""

    def __init__(self):
        self.returns = 0

    def give_back(self):
        self.returns += 1


@pytest.fixture
def file(tmp_path):
    with open(tmp_path / "upload", "w+b", buffering=0) as file:
        yield file


@pytest.mark.parametrize("seed", range(12))
def test_the_digest_is_that_of_the_file_however_its_bytes_came(file, seed):
    """Lent and not lent, large and small, hashed at once, late or at the end: the same digest."""
    rng = random.Random(seed)
    crew, pieces, whole = Crew(), [], hashlib.sha256()
    digest = FollowingDigest(file.fileno(), crew)
    for _ in range(rng.randrange(1, 30)):
        at = rng.randrange(100_000)
        data = NOISE[at : at + rng.randrange(1, 300_000)]
        file.write(data)
        whole.update(data)
        if rng.random() < 0.5:
            pieces.append(Piece())
            digest.lent(memoryview(data), pieces[-1])
        else:
            digest.grew(len(data))
        if rng.random() < 0.4:
            crew.work()
    assert digest.digest() == whole.digest()
    digest.close()
    crew.work()
    assert [piece.returns for piece in pieces] == [1] * len(pieces)


def test_what_is_lent_is_hashed_without_being_waited_for(file):
    """Else an upload that stalls would keep memory that all of them share."""
    crew, piece = Crew(), Piece()
    digest = FollowingDigest(file.fileno(), crew)
    file.write(b"abc")
    digest.lent(memoryview(b"abc"), piece)
    crew.work()
    assert piece.returns == 1
    assert digest.digest() == hashlib.sha256(b"abc").digest()


def test_an_upload_that_is_given_up_gives_back_what_it_was_lent(file):
    crew, pieces = Crew(), [Piece(), Piece()]
    digest = FollowingDigest(file.fileno(), crew)
    for piece in pieces:
        digest.lent(memoryview(b"abc"), piece)
    digest.close()
    crew.work()
    assert [piece.returns for piece in pieces] == [1, 1]
