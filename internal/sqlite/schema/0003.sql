-- What was revoked: the certificates of one join, or one by its serial.
CREATE TABLE revocations (
  id   TEXT    NOT NULL PRIMARY KEY,
  ends INTEGER NOT NULL, -- seconds since 1970: the end of the last certificate
  body BLOB    NOT NULL  -- JSON
) STRICT;

CREATE INDEX revocations_by_ends ON revocations (ends);
