-- The trigram index over files.search: derived, made where SQLite has FTS5 with trigrams (3.34), dropped elsewhere.
-- detail=none keeps row numbers alone; a phrase is asked as its trigrams joined by AND and then compared.
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(
    search, content='files', content_rowid='n', detail=none, tokenize='trigram case_sensitive 1'
);

CREATE TRIGGER IF NOT EXISTS words_in AFTER INSERT ON files BEGIN
    INSERT INTO words (rowid, search) VALUES (new.n, new.search);
END;

CREATE TRIGGER IF NOT EXISTS words_out AFTER DELETE ON files BEGIN
    INSERT INTO words (words, rowid, search) VALUES ('delete', old.n, old.search);
END;

CREATE TRIGGER IF NOT EXISTS words_anew AFTER UPDATE OF search ON files BEGIN
    INSERT INTO words (words, rowid, search) VALUES ('delete', old.n, old.search);
    INSERT INTO words (rowid, search) VALUES (new.n, new.search);
END;
