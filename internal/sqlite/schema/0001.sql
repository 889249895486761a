-- Instants are nanoseconds since 1970 and NULL for none; not_after and
-- keep_until are seconds since 1970, because they may lie beyond the year 2262.

CREATE TABLE resources (
  kind       TEXT    NOT NULL,
  name       TEXT    NOT NULL,
  revision   TEXT    NOT NULL, -- random, so that none is ever used twice
  updated_at INTEGER NOT NULL,
  issuer     TEXT,             -- that a token rule names, NULL for other kinds
  body       BLOB    NOT NULL, -- canonical JSON
  PRIMARY KEY (kind, name)
) STRICT;

-- How often resources was changed. What a process has in memory of them is current as
-- long as this is as it was. Triggers count, so that no writer can leave it out.
CREATE TABLE changes (
  one       INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  resources INTEGER NOT NULL
) STRICT;

INSERT INTO changes VALUES (1, 1);

-- What the last 1,000 changes were about, each under its number, so that a process that
-- keeps the names of 100,000 token rules need not read them all after each change.
CREATE TABLE changed (
  number INTEGER NOT NULL PRIMARY KEY, -- changes.resources after the change
  kind   TEXT    NOT NULL,
  name   TEXT    NOT NULL
) STRICT;

CREATE TRIGGER resources_inserted AFTER INSERT ON resources BEGIN
  UPDATE changes SET resources = resources + 1;
  INSERT INTO changed SELECT resources, NEW.kind, NEW.name FROM changes;
END;
CREATE TRIGGER resources_updated AFTER UPDATE ON resources BEGIN
  UPDATE changes SET resources = resources + 1;
  INSERT INTO changed SELECT resources, NEW.kind, NEW.name FROM changes;
END;
CREATE TRIGGER resources_renamed AFTER UPDATE OF kind, name ON resources WHEN OLD.kind <> NEW.kind OR OLD.name <> NEW.name BEGIN
  UPDATE changes SET resources = resources + 1;
  INSERT INTO changed SELECT resources, OLD.kind, OLD.name FROM changes;
END;
CREATE TRIGGER resources_deleted AFTER DELETE ON resources BEGIN
  UPDATE changes SET resources = resources + 1;
  INSERT INTO changed SELECT resources, OLD.kind, OLD.name FROM changes;
END;
CREATE TRIGGER changed_forgotten AFTER INSERT ON changed BEGIN
  DELETE FROM changed WHERE number <= NEW.number - 1000;
END;

CREATE TABLE key_sets (
  issuer     TEXT    NOT NULL PRIMARY KEY,
  jwks       BLOB,             -- NULL if no fetch ever succeeded
  fetched_at INTEGER,
  pinned     INTEGER NOT NULL DEFAULT 0,
  tried_at   INTEGER,
  failure    TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE uses (
  id_token   TEXT    NOT NULL,
  digest     TEXT    NOT NULL,
  join_id    TEXT    NOT NULL, -- of the first answer
  not_after  INTEGER NOT NULL,
  answers    INTEGER NOT NULL, -- how many there were, the first included
  issued_at  INTEGER NOT NULL, -- seconds since 1970: when the ID token was issued, by its issuer's clock
  keep_until INTEGER NOT NULL,
  PRIMARY KEY (id_token, digest)
) STRICT, WITHOUT ROWID;

CREATE INDEX uses_by_keep_until ON uses (keep_until);

CREATE TABLE leases (
  name  TEXT    NOT NULL PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
  join_id    TEXT    NOT NULL PRIMARY KEY,
  time       INTEGER NOT NULL,
  token      TEXT    NOT NULL,
  bot        TEXT    NOT NULL,
  code       TEXT    NOT NULL,
  keep_until INTEGER NOT NULL,
  body       BLOB    NOT NULL  -- JSON
) STRICT;

-- Holds every column that a query can ask for, so that the rows that do not fit are never read.
CREATE INDEX records_by_time ON records (time, join_id, token, bot, code);
CREATE INDEX records_by_keep_until ON records (keep_until);
