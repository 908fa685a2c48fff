-- Version 5: ranges newest first, names with filters: indexes, and how far uploads came out of order.

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

ALTER TABLE counters ADD COLUMN newest_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE counters ADD COLUMN disorder_ms INTEGER NOT NULL DEFAULT 0;

-- Of all owners together, in the order of n as the rows lie: never less than each one's own.
UPDATE counters SET (newest_ms, disorder_ms) = (
    SELECT coalesce(max(latest), 0), coalesce(max(latest - uploaded_ms), 0)
    FROM (SELECT uploaded_ms, max(uploaded_ms) OVER (ORDER BY n ROWS UNBOUNDED PRECEDING) AS latest FROM files)
);

DROP TRIGGER files_counted_in;
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

PRAGMA user_version = 5;
