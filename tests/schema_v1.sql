-- The whole catalogue as a new installation gets it.
--
-- To change it: write the change here, raise the version at the end, and put the same step for existing
-- catalogues into audiokit/migrations/NNNN_what.sql.  A test holds both to the same result.
--
--   version 1   files, their labels, the blobs still to be deleted, counters
--
-- Written for SQLite 3.26: no RETURNING, no STRICT, no generated columns.  Ids and times come from the program.
-- The trigram index behind `q` and name patterns is not here: not every SQLite has it, so the program makes and
-- drops it by itself (audiokit/catalogue/search.sql); without it the same queries scan.

-- One row per file that callers can see.
CREATE TABLE files (
    n            INTEGER PRIMARY KEY,           -- joins labels and the search index; never shown
    id           TEXT    NOT NULL UNIQUE,       -- opaque, random, never used again
    owner        INTEGER NOT NULL DEFAULT 0,    -- account; 0 = nobody (never NULL: UNIQUE does not bind NULLs)
    name         TEXT    NOT NULL,              -- NFC
    version      INTEGER NOT NULL DEFAULT 1,    -- raised by every change: writers compare and set it
    key          TEXT    NOT NULL UNIQUE,       -- of the bytes in the blob store; fresh for every upload
    size         INTEGER NOT NULL CHECK (size >= 0),                  -- bytes
    sha256       TEXT    NOT NULL CHECK (length(sha256) = 64),        -- of the bytes, lower-case hex
    uploaded_ms  INTEGER NOT NULL,              -- milliseconds since 1970, UTC
    family       TEXT    NOT NULL,              -- what the `format` filter compares: wav for RIFF, RF64, W64
    codec        TEXT    NOT NULL,
    mime         TEXT    NOT NULL,
    duration     REAL    NOT NULL CHECK (duration >= 0),              -- seconds
    sample_rate  INTEGER NOT NULL,              -- Hz
    channels     INTEGER NOT NULL,
    bits         INTEGER,                       -- NULL: a lossy codec has none
    bitrate      INTEGER,                       -- bit/s; NULL: not known
    truncated    INTEGER NOT NULL DEFAULT 0 CHECK (truncated IN (0, 1)),
    search       TEXT    NOT NULL,              -- name, tags and metadata, case-folded, one a line
    record       TEXT    NOT NULL               -- the JSON that callers get, ready: answering is copying
);

CREATE UNIQUE INDEX files_by_name ON files (owner, name);

-- One index a sort key and direction.  Ties go by ascending id either way, so a backward walk of the other one
-- will not do.  Those with uploaded_ms behind them answer a range in the default order without touching the rows.
--
-- Behind what they sort by, the indexes carry what else is filtered by: a walk that skips most rows, and a count,
-- never touch those rows, which lie anywhere in gigabytes.  It takes some 25 bytes an index and file.
CREATE INDEX files_by_uploaded        ON files (owner, uploaded_ms, id,
    family, codec, sample_rate, channels, bits, duration, size);
CREATE INDEX files_by_uploaded_down   ON files (owner, uploaded_ms DESC, id,
    family, codec, sample_rate, channels, bits, duration, size, name);
CREATE INDEX files_by_duration        ON files (owner, duration, id, uploaded_ms,
    family, codec, sample_rate, channels, bits, size);
CREATE INDEX files_by_duration_down   ON files (owner, duration DESC, id,
    family, codec, sample_rate, channels, bits, size);
CREATE INDEX files_by_size            ON files (owner, size, id, uploaded_ms,
    family, codec, sample_rate, channels, bits, duration);
CREATE INDEX files_by_size_down       ON files (owner, size DESC, id,
    family, codec, sample_rate, channels, bits, duration);
CREATE INDEX files_by_samplerate      ON files (owner, sample_rate, id, uploaded_ms,
    family, codec, channels, bits, duration, size);
CREATE INDEX files_by_samplerate_down ON files (owner, sample_rate DESC, id,
    family, codec, channels, bits, duration, size);
-- NULLs last in both directions: 2^62 and -1 are beyond any bitrate.
CREATE INDEX files_by_bitrate         ON files (owner, coalesce(bitrate, 4611686018427387904), id, uploaded_ms,
    family, codec, sample_rate, channels, bits, duration, size);
CREATE INDEX files_by_bitrate_down    ON files (owner, coalesce(bitrate, -1) DESC, id,
    family, codec, sample_rate, channels, bits, duration, size);

-- One index a filter of equality, newest first: a page in the default order is one walk.
CREATE INDEX files_of_family          ON files (owner, family, uploaded_ms DESC, id,
    codec, sample_rate, channels, bits, duration, size);
CREATE INDEX files_of_codec           ON files (owner, codec, uploaded_ms DESC, id,
    family, sample_rate, channels, bits, duration, size);
CREATE INDEX files_of_samplerate      ON files (owner, sample_rate, uploaded_ms DESC, id,
    family, codec, channels, bits, duration, size);
CREATE INDEX files_of_channels        ON files (owner, channels, uploaded_ms DESC, id,
    family, codec, sample_rate, bits, duration, size);
CREATE INDEX files_of_bits            ON files (owner, bits, uploaded_ms DESC, id,
    family, codec, sample_rate, channels, duration, size);
CREATE INDEX files_of_truncated       ON files (owner, truncated, uploaded_ms DESC, id);
CREATE INDEX files_of_sha256          ON files (owner, sha256, uploaded_ms DESC, id);

-- One row per tag and per field of metadata of a file: what `tag.KEY` and `meta.KEY` look up, newest first.
CREATE TABLE labels (
    owner       INTEGER NOT NULL,
    label       TEXT    NOT NULL,               -- "tag.artist", "meta.project"
    value       TEXT    NOT NULL,               -- itself up to 64 characters, else "sha256:" and its digest
    uploaded_ms INTEGER NOT NULL,               -- as in files
    file        INTEGER NOT NULL REFERENCES files (n) ON DELETE CASCADE,
    PRIMARY KEY (owner, label, value, uploaded_ms DESC, file)
) WITHOUT ROWID;
CREATE INDEX labels_of_file ON labels (file);

-- One row per blob that no row of files names any more and whose bytes are still to be deleted.
-- Written in the transaction that takes the blob's row away, so that a crash in between is made good at start.
CREATE TABLE removals (
    key      TEXT    PRIMARY KEY NOT NULL,
    since_ms INTEGER NOT NULL                   -- milliseconds since 1970, UTC
) WITHOUT ROWID;

-- One row per owner: how many files, so that a total never counts.
CREATE TABLE counters (
    owner INTEGER PRIMARY KEY NOT NULL,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);

CREATE TRIGGER files_counted_in AFTER INSERT ON files BEGIN
    INSERT OR IGNORE INTO counters (owner, files, bytes) VALUES (new.owner, 0, 0);
    UPDATE counters SET files = files + 1, bytes = bytes + new.size WHERE owner = new.owner;
END;

CREATE TRIGGER files_counted_out AFTER DELETE ON files BEGIN
    UPDATE counters SET files = files - 1, bytes = bytes - old.size WHERE owner = old.owner;
    DELETE FROM labels WHERE file = old.n;
END;

CREATE TRIGGER files_counted_anew AFTER UPDATE OF size ON files BEGIN
    UPDATE counters SET bytes = bytes - old.size + new.size WHERE owner = old.owner;
END;

PRAGMA user_version = 1;
