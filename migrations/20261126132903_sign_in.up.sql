-- Until when user_repositories holds all that a user may see (null: ask GitHub), until when somebody asks now, and a version
-- that rises when something is dropped from it: what was asked before is then not stored.
ALTER TABLE users
    ADD COLUMN repositories_until        timestamptz,
    ADD COLUMN repositories_version      bigint NOT NULL DEFAULT 0,
    ADD COLUMN repositories_asking_until timestamptz;
-- What `bisectd rotate-keys` walks over, in order.
CREATE INDEX users_with_tokens ON users (id) WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL;
-- Few: those of whom GitHub is being asked just now.
CREATE INDEX users_asked_of ON users (repositories_asking_until) WHERE repositories_asking_until IS NOT NULL;
