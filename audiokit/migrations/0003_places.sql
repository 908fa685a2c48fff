-- Version 3: where the audio is kept.

-- One row per engine on another machine that keeps something of this catalogue's.
CREATE TABLE places (
    what    TEXT PRIMARY KEY NOT NULL,          -- "blobs"
    word    TEXT NOT NULL,                      -- random; the engine has it too, so that it is surely the right one
    address TEXT NOT NULL                       -- for people: s3://BUCKET/PREFIX
) WITHOUT ROWID;

PRAGMA user_version = 3;
