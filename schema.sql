-- The whole catalogue as a new installation gets it.
--
-- To change it: write the change here, raise the version at the end, and put the same step for existing
-- catalogues into audiokit/migrations/NNNN_what.sql.  A test holds both to the same result.
--
--   version 1   files, their labels, the blobs still to be deleted, counters
--   version 2   accounts, tokens, sessions, links, drops; files are shared; counters of audio; quotas
--   version 3   where the audio is kept
--   version 4   conversions that every server of a cluster knows
--   version 5   ranges newest first, names with filters: indexes, and how far uploads came out of order
--   version 6   what leaves for another engine is frozen
--
-- Written for SQLite 3.26: no RETURNING, no STRICT, no generated columns.  Ids and times come from the program.
-- The trigram index behind `q` and name patterns is not here: not every SQLite has it, so the program makes and
-- drops it by itself (audiokit/catalogue/search.sql); without it the same queries scan.

-- One row per file that callers can see.
CREATE TABLE files (
    n            INTEGER PRIMARY KEY,           -- joins labels and the search index; rises with every upload; never shown
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
    record       TEXT    NOT NULL,              -- the JSON that callers get, ready: answering is copying
    shared       INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1))  -- 1: every account may read it by id
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

-- Files filtered by what the unique index of names does not carry, in the order of their names.
CREATE INDEX files_by_name_with       ON files (owner, name, family, codec, sample_rate, channels, bits, duration, size);

-- Ranges, newest first: within each block of 4096 numbers the files lie in the order of what the range is of, so that
-- a page takes a look into each of the newest blocks until it is full (audiokit/catalogue/newest.py).  A new file
-- goes into the last block, whose pages are in memory.
CREATE INDEX files_in_blocks_by_duration ON files (owner, n >> 12, duration, uploaded_ms, id,
    family, codec, sample_rate, channels, bits, size);
CREATE INDEX files_in_blocks_by_size     ON files (owner, n >> 12, size, uploaded_ms, id,
    family, codec, sample_rate, channels, bits, duration);
CREATE INDEX files_in_blocks_by_name     ON files (owner, n >> 12, name, uploaded_ms, id,
    family, codec, sample_rate, channels, bits, duration, size);

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

-- One row per owner: how many files, and how much of them, so that a total never counts.
CREATE TABLE counters (
    owner       INTEGER PRIMARY KEY NOT NULL,
    files       INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL DEFAULT 0,     -- of audio; whole milliseconds a file, so that sums stay exact
    newest_ms   INTEGER NOT NULL DEFAULT 0,     -- the latest uploaded_ms that there ever was
    disorder_ms INTEGER NOT NULL DEFAULT 0      -- no file is older by more than this than any with a smaller n
);

CREATE TRIGGER files_counted_in AFTER INSERT ON files BEGIN
    INSERT OR IGNORE INTO counters (owner, files, bytes) VALUES (new.owner, 0, 0);
    UPDATE counters SET files = files + 1, bytes = bytes + new.size,
        duration_ms = duration_ms + CAST(round(new.duration * 1000) AS INTEGER),
        newest_ms = max(newest_ms, new.uploaded_ms),
        disorder_ms = max(disorder_ms, newest_ms - new.uploaded_ms,
            CASE WHEN new.n < (SELECT max(n) FROM files) THEN 1 << 52 ELSE 0 END) WHERE owner = new.owner;
END;

-- Clocks are set back, and of two uploads the one that began first may end last.  One that is put anywhere but at the
-- end leaves the order unknown: 2^52 is beyond any time.
CREATE TRIGGER files_ordered_anew AFTER UPDATE OF n, owner, uploaded_ms ON files
WHEN new.n <> old.n OR new.owner <> old.owner OR new.uploaded_ms <> old.uploaded_ms BEGIN
    UPDATE counters SET newest_ms = max(newest_ms, new.uploaded_ms),
        disorder_ms = max(disorder_ms, newest_ms - new.uploaded_ms,
            CASE WHEN new.n < (SELECT max(n) FROM files) THEN 1 << 52 ELSE 0 END) WHERE owner = new.owner;
END;

CREATE TRIGGER files_counted_out AFTER DELETE ON files BEGIN
    UPDATE counters SET files = files - 1, bytes = bytes - old.size,
        duration_ms = duration_ms - CAST(round(old.duration * 1000) AS INTEGER) WHERE owner = old.owner;
    DELETE FROM labels WHERE file = old.n;
    DELETE FROM links WHERE file = old.id;
    DELETE FROM drop_files WHERE file = old.id;
END;

CREATE TRIGGER files_counted_anew AFTER UPDATE OF size, duration ON files BEGIN
    UPDATE counters SET bytes = bytes - old.size + new.size, duration_ms = duration_ms
        - CAST(round(old.duration * 1000) AS INTEGER) + CAST(round(new.duration * 1000) AS INTEGER)
        WHERE owner = old.owner;
END;

-- One row per person or program that may come in.
CREATE TABLE accounts (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,   -- files.owner; never used again, also of a removed account
    name         TEXT    NOT NULL UNIQUE,       -- lower case
    password     TEXT    NOT NULL,              -- its digest, salt and parameters in one text (audiokit/accounts.py)
    is_admin     INTEGER NOT NULL DEFAULT 0 CHECK (is_admin IN (0, 1)),
    is_disabled  INTEGER NOT NULL DEFAULT 0 CHECK (is_disabled IN (0, 1)),
    created_ms   INTEGER NOT NULL,              -- milliseconds since 1970, UTC, as everywhere here
    most_bytes   INTEGER,                       -- quota; NULL: as many as the disk holds
    most_files   INTEGER,                       -- quota; NULL: any number
    most_ms      INTEGER                        -- quota, milliseconds of audio; NULL: any length
);

-- One row per API token.  Of the token itself only the digest is kept: a leaked table lets nobody in.
CREATE TABLE tokens (
    id           TEXT    PRIMARY KEY NOT NULL,  -- part of the token; names it in lists and in the log
    account      INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    digest       TEXT    NOT NULL UNIQUE,       -- sha256, lower-case hex
    scopes       TEXT    NOT NULL,              -- "read,write": comma-separated words
    note         TEXT    NOT NULL,
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER,                       -- NULL: never
    used_ms      INTEGER                        -- last use, to the minute; NULL: not used yet
) WITHOUT ROWID;
CREATE INDEX tokens_of_account ON tokens (account, created_ms, id);

-- One row per log-in of the page.
CREATE TABLE sessions (
    digest       TEXT    PRIMARY KEY NOT NULL,  -- sha256 of the cookie's value, lower-case hex
    account      INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX sessions_of_account ON sessions (account);
CREATE INDEX sessions_by_expiry  ON sessions (expires_ms);

-- One row per signed link that can still be revoked; the link says the rest itself.
CREATE TABLE links (
    id           TEXT    PRIMARY KEY NOT NULL,
    file         TEXT    NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    account      INTEGER NOT NULL,              -- who made it; 0 = nobody, in open mode
    download     INTEGER NOT NULL CHECK (download IN (0, 1)),        -- 1: to be saved, 0: to be shown
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX links_of_file    ON links (file, created_ms, id);
CREATE INDEX links_of_account ON links (account);
CREATE INDEX links_by_expiry  ON links (expires_ms);

-- One row per drop: a link for uploads into somebody's account, and what came through it so far.
CREATE TABLE drops (
    id           TEXT    PRIMARY KEY NOT NULL,
    digest       TEXT    NOT NULL UNIQUE,       -- sha256 of the link's token, lower-case hex
    account      INTEGER NOT NULL,              -- whose the files will be; 0 = nobody, in open mode
    note         TEXT    NOT NULL,
    created_ms   INTEGER NOT NULL,
    expires_ms   INTEGER NOT NULL,
    most_files   INTEGER,                       -- NULL: any number
    most_bytes   INTEGER,                       -- NULL: any
    most_ms      INTEGER,                       -- milliseconds of audio; NULL: any length
    files        INTEGER NOT NULL DEFAULT 0,    -- that came
    bytes        INTEGER NOT NULL DEFAULT 0,
    duration_ms  INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX drops_of_account ON drops (account, created_ms, id);
CREATE INDEX drops_by_expiry  ON drops (expires_ms);

-- One row per file that came through a drop, as long as both are there.
CREATE TABLE drop_files (
    file         TEXT    PRIMARY KEY NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    drop_id      TEXT    NOT NULL REFERENCES drops (id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX drop_files_of_drop ON drop_files (drop_id);

-- One row per thing that a server remembers of the catalogue: raised by every change, so that another process
-- can be noticed by reading one number.
CREATE TABLE generations (
    what         TEXT    PRIMARY KEY NOT NULL,  -- "accounts": who may come in, and with what
    n            INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO generations (what, n) VALUES ('accounts', 0);

CREATE TRIGGER accounts_in AFTER INSERT ON accounts BEGIN
    UPDATE generations SET n = n + 1 WHERE what = 'accounts';
END;

CREATE TRIGGER accounts_anew AFTER UPDATE ON accounts BEGIN
    UPDATE generations SET n = n + 1 WHERE what = 'accounts';
END;

-- Not by the references: SQLite leaves those aside unless every connection asks for them.
CREATE TRIGGER accounts_out AFTER DELETE ON accounts BEGIN
    UPDATE generations SET n = n + 1 WHERE what = 'accounts';
    DELETE FROM tokens WHERE account = old.id;
    DELETE FROM sessions WHERE account = old.id;
    DELETE FROM links WHERE account = old.id;
    DELETE FROM drops WHERE account = old.id;
END;

CREATE TRIGGER tokens_out AFTER DELETE ON tokens BEGIN
    UPDATE generations SET n = n + 1 WHERE what = 'accounts';
END;

CREATE TRIGGER sessions_out AFTER DELETE ON sessions BEGIN
    UPDATE generations SET n = n + 1 WHERE what = 'accounts';
END;

-- Quotas and the limits of drops hold here, so that no two uploads can pass them together: one transaction at a time
-- writes, and one that would pass a limit is undone whole.  What shrinks is always let through.
CREATE TRIGGER quotas_hold AFTER UPDATE ON counters BEGIN
    SELECT RAISE(ABORT, 'over quota: files') FROM accounts
        WHERE id = new.owner AND new.files > old.files AND new.files > most_files;
    SELECT RAISE(ABORT, 'over quota: bytes') FROM accounts
        WHERE id = new.owner AND new.bytes > old.bytes AND new.bytes > most_bytes;
    SELECT RAISE(ABORT, 'over quota: seconds') FROM accounts
        WHERE id = new.owner AND new.duration_ms > old.duration_ms AND new.duration_ms > most_ms;
END;

CREATE TRIGGER drop_files_in AFTER INSERT ON drop_files BEGIN
    SELECT RAISE(ABORT, 'over drop: gone') WHERE NOT EXISTS (SELECT 1 FROM drops WHERE id = new.drop_id);
    UPDATE drops SET files = files + 1,
        bytes = bytes + (SELECT size FROM files WHERE id = new.file),
        duration_ms = duration_ms + (SELECT CAST(round(duration * 1000) AS INTEGER) FROM files WHERE id = new.file)
        WHERE id = new.drop_id;
END;

CREATE TRIGGER drops_hold AFTER UPDATE OF files, bytes, duration_ms ON drops BEGIN
    SELECT RAISE(ABORT, 'over drop: files') WHERE new.files > new.most_files;
    SELECT RAISE(ABORT, 'over drop: bytes') WHERE new.bytes > new.most_bytes;
    SELECT RAISE(ABORT, 'over drop: minutes') WHERE new.duration_ms > new.most_ms;
END;

CREATE TRIGGER drops_out AFTER DELETE ON drops BEGIN
    DELETE FROM drop_files WHERE drop_id = old.id;
END;

-- One row per engine on another machine that keeps something of this catalogue's, and per move to one.
CREATE TABLE places (
    -- "blobs"; "id": there is none now; "moving": a move was begun; "leaving", "left": of the rows, too;
    -- "arriving": not all rows are here yet
    what    TEXT PRIMARY KEY NOT NULL,
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

-- One row per conversion that somebody may ask any server for, where the catalogue is in a cluster; empty elsewhere.
-- One that is gone leaves its row for a day: its id still answers so, and a late INSERT finds it there.
CREATE TABLE jobs (
    id          TEXT    PRIMARY KEY NOT NULL,   -- unguessable
    owner       INTEGER NOT NULL,               -- the account that began it; 0 = nobody
    state       TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'gone')),
    status      TEXT    NOT NULL,               -- the JSON that callers get, and what servers need to go on with it
    mime        TEXT    NOT NULL,               -- of the result
    key         TEXT    UNIQUE,                 -- of the result in the blob store, before that of the input; NULL: there is none
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

-- While the rows leave for another engine, and once they have left, nothing else of them may change either.  Not so the
-- sessions: they do not move.
CREATE TRIGGER accounts_frozen_in BEFORE INSERT ON accounts
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'leaving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER accounts_frozen BEFORE UPDATE ON accounts
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'leaving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER accounts_frozen_out BEFORE DELETE ON accounts
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'leaving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER tokens_frozen_in BEFORE INSERT ON tokens
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'leaving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER tokens_frozen_out BEFORE DELETE ON tokens
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'leaving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER links_frozen_in BEFORE INSERT ON links
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'leaving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER links_frozen_out BEFORE DELETE ON links
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'leaving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER drops_frozen_in BEFORE INSERT ON drops
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'leaving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

CREATE TRIGGER drops_frozen_out BEFORE DELETE ON drops
WHEN EXISTS (SELECT 1 FROM places WHERE what = 'leaving') BEGIN
    SELECT RAISE(ABORT, 'the audio is being moved');
END;

PRAGMA user_version = 6;
