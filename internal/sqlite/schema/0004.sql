-- By which this database and the keys beside it know that they belong together. The number
-- grows with each change that must not be lost unseen; triggers count, so that no writer
-- can leave it out.
CREATE TABLE generation (
  one    INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
  id     TEXT    NOT NULL, -- random; another one if it is begun anew
  number INTEGER NOT NULL
) STRICT;

INSERT INTO generation VALUES (1, lower(hex(randomblob(16))), 1);

CREATE TRIGGER generation_inserted AFTER INSERT ON resources BEGIN UPDATE generation SET number = number + 1; END;
CREATE TRIGGER generation_updated  AFTER UPDATE ON resources BEGIN UPDATE generation SET number = number + 1; END;
CREATE TRIGGER generation_deleted  AFTER DELETE ON resources BEGIN UPDATE generation SET number = number + 1; END;
CREATE TRIGGER generation_revoked  AFTER INSERT ON revocations BEGIN UPDATE generation SET number = number + 1; END;
-- Key sets that an administrator pins, or lets go of. What is fetched can be fetched again.
CREATE TRIGGER generation_pinned   AFTER INSERT ON key_sets WHEN NEW.pinned BEGIN UPDATE generation SET number = number + 1; END;
CREATE TRIGGER generation_repinned AFTER UPDATE ON key_sets WHEN NEW.pinned OR OLD.pinned BEGIN UPDATE generation SET number = number + 1; END;

-- The first key of each authority that has one, as lower-case hexadecimal SHA-256 of its public half (PKIX).
CREATE TABLE known_keys (
  authority TEXT NOT NULL PRIMARY KEY,
  sha256    TEXT NOT NULL
) STRICT;
