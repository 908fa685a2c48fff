-- Version 3: where the audio is kept.

-- One row per engine on another machine that keeps something of this catalogue's, and per move to one.
CREATE TABLE places (
    what    TEXT PRIMARY KEY NOT NULL,          -- "blobs"; "id": there is none now; "moving": a move was begun
    word    TEXT NOT NULL,                      -- random; the engine has it too, so that it is surely the right one
    address TEXT NOT NULL                       -- for people: s3://BUCKET/PREFIX
) WITHOUT ROWID;

-- While the audio is being moved nothing of it may change, whichever process asks.
CREATE TRIGGER files_frozen_in BEFORE INSERT ON files
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'moving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER files_frozen BEFORE UPDATE ON files
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'moving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER files_frozen_out BEFORE DELETE ON files
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'moving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

PRAGMA user_version = 3;
