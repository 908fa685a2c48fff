-- Version 4: conversions that every server of a cluster knows.

-- One row per conversion that somebody may ask any server for, where the catalogue is in a cluster; empty elsewhere.
-- One that is gone leaves its row for a day: its id still answers so, and a late INSERT finds it there.
CREATE TABLE jobs (
    id          TEXT    PRIMARY KEY NOT NULL,   -- unguessable
    owner       INTEGER NOT NULL,               -- the account that began it; 0 = nobody
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'gone')),
    status      TEXT    NOT NULL,               -- the JSON that callers get
    mime        TEXT    NOT NULL,               -- of the result
    key         TEXT    UNIQUE,                 -- of the result in the blob store; NULL: there is none
    size        INTEGER,                        -- bytes of the result
    sha256      TEXT,                           -- of the result, lower-case hex
    since_ms    INTEGER,                        -- when the result was made
    delivered   TEXT    NOT NULL DEFAULT '[]',  -- JSON: the spans of the result that were delivered
    renewed_ms  INTEGER NOT NULL,               -- changed by its server now and then, as long as that is at it
    expires_ms  INTEGER                         -- when the result goes, or this row; NULL: it is not over
) WITHOUT ROWID;
CREATE INDEX jobs_by_expiry ON jobs (expires_ms);

-- A move takes no conversions along.
CREATE TRIGGER jobs_moved AFTER INSERT ON places WHEN new.what = 'moving' BEGIN
    UPDATE jobs SET state = 'gone', key = NULL, expires_ms = coalesce(expires_ms, renewed_ms) + 86400000
        WHERE state <> 'gone';
END;

CREATE TRIGGER jobs_frozen_in BEFORE INSERT ON jobs
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'moving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

PRAGMA user_version = 4;
