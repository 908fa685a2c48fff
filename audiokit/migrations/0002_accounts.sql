-- Accounts and what hangs on them; files can be shared; counters know the length of the audio.

ALTER TABLE files ADD COLUMN shared INTEGER NOT NULL DEFAULT 0 CHECK (shared IN (0, 1));

-- The ready records say it too, before "container": quotes inside a record's strings carry a backslash, so the
-- first such text is the record's own.
UPDATE files SET record = substr(record, 1, instr(record, ', "container": ') - 1) || ', "shared": false'
    || substr(record, instr(record, ', "container": ')) WHERE instr(record, ', "container": ') > 0;

DROP TRIGGER files_counted_in;
DROP TRIGGER files_counted_out;
DROP TRIGGER files_counted_anew;

ALTER TABLE counters ADD COLUMN duration_ms INTEGER NOT NULL DEFAULT 0;
UPDATE counters SET duration_ms = (
    SELECT coalesce(sum(CAST(round(f.duration * 1000) AS INTEGER)), 0) FROM files f WHERE f.owner = counters.owner
);

CREATE TRIGGER files_counted_in AFTER INSERT ON files BEGIN
    INSERT OR IGNORE INTO counters (owner, files, bytes) VALUES (new.owner, 0, 0);
    UPDATE counters SET files = files + 1, bytes = bytes + new.size,
        duration_ms = duration_ms + CAST(round(new.duration * 1000) AS INTEGER) WHERE owner = new.owner;
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

PRAGMA user_version = 2;
