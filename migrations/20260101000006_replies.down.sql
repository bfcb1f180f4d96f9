-- Takes back 20260101000006_replies.up.sql, over a database that holds rows.
ALTER TABLE installations DROP COLUMN edits_since, DROP COLUMN edits;
DROP INDEX outbox_waiting;
ALTER TABLE outbox DROP COLUMN urgent, DROP COLUMN edit_after, DROP COLUMN edits;
CREATE INDEX outbox_waiting ON outbox (available_at) WHERE state = 'waiting';
DROP INDEX webhook_deliveries_sender;
ALTER TABLE webhook_deliveries DROP COLUMN sender_id;
