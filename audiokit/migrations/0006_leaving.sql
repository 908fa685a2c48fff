-- Version 6: what the rows of accounts, tokens, links and drops may not do while they leave.

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
