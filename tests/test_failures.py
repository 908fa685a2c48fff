"""What the failure of a disk or an engine means for a client."""

from __future__ import annotations

import errno
import os
import sqlite3

import pytest

from audiokit.blobs.errors import StoreDown, StoreRefused
from audiokit.catalogue.errors import CatalogueDown, CatalogueRefused, InDoubt
from audiokit.failures import refusal_of
from audiokit.wire.problems import Refusal


def of_system(number):
    return OSError(number, os.strerror(number))


MEANINGS = [
    (of_system(errno.ENOSPC), "no-space", None, "somebody has to make room"),
    (of_system(errno.EFBIG), "no-space", None, "the file is as large as it may be"),
    (of_system(errno.EMFILE), "busy", "1", "others close theirs soon"),
    (of_system(errno.ENFILE), "busy", "1", "the same of the whole system"),
    (CatalogueDown("nobody answers"), "busy", "5", "it comes back by itself"),
    (CatalogueRefused("401"), "busy", "5", "/health says what somebody has to put right"),
    (StoreDown("nobody answers"), "busy", "5", "it comes back by itself"),
    (StoreRefused("403"), "busy", "5", "/health says what somebody has to put right"),
    (sqlite3.IntegrityError("the audio is being moved"), "busy", "60", "a trigger says so while a move is under way"),
]
OTHERS = [
    (of_system(errno.EIO), "a disk that is ill is ours to look after"),
    (InDoubt(errno.EIO, "the catalogue could not commit"), "so is this"),
    (sqlite3.IntegrityError("UNIQUE constraint failed: files.owner, files.name"), "the caller knows what that means"),
    (ValueError("a bug"), "a fault of ours"),
]


@pytest.mark.parametrize("error, code, later, why", MEANINGS)
def test_what_is_no_fault_of_ours_is_a_refusal(error, code, later, why):
    refusal = refusal_of(error)
    assert isinstance(refusal, Refusal), why
    assert (refusal.code, dict(refusal.headers).get("Retry-After")) == (code, later), why


@pytest.mark.parametrize("error, why", OTHERS)
def test_any_other_error_stays_what_it_was(error, why):
    assert refusal_of(error) is error, why
