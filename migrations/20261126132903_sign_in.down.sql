-- Takes back the columns of what is known of a user's repositories. They are asked for again.
DROP INDEX users_asked_of;
DROP INDEX users_with_tokens;
ALTER TABLE users
    DROP COLUMN repositories_asking_until,
    DROP COLUMN repositories_version,
    DROP COLUMN repositories_until;
