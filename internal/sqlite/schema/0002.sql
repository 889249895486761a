-- Whether a resource was last written otherwise than from files: by hand, as gatepassctl edit does.
ALTER TABLE resources ADD COLUMN edited INTEGER NOT NULL DEFAULT 0;
