-- What intake and outbox need to keep their limits: who asked, what may wait, how often was edited.

-- GitHub's number of who wrote a command, known once intake has read the delivery: for the limit of
-- commands by one user.
ALTER TABLE webhook_deliveries ADD COLUMN sender_id bigint;
CREATE INDEX webhook_deliveries_sender ON webhook_deliveries (sender_id, received_at) WHERE sender_id IS NOT NULL;

ALTER TABLE outbox
    -- Results and answers go before progress.
    ADD COLUMN urgent boolean NOT NULL DEFAULT true,
    -- Progress is not told before this moment, and how often it was told decides the next one.
    ADD COLUMN edit_after timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN edits integer NOT NULL DEFAULT 0 CHECK (edits >= 0);
DROP INDEX outbox_waiting;
CREATE INDEX outbox_waiting ON outbox (urgent DESC, available_at) WHERE state = 'waiting';

ALTER TABLE installations
    -- Progress edits since this moment, at most 300 an hour.
    ADD COLUMN edits_since timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN edits integer NOT NULL DEFAULT 0 CHECK (edits >= 0);
