-- Deliveries are worked off side by side, those that share a key one after another: commands of one issue,
-- news of one installation.

ALTER TABLE webhook_deliveries ADD COLUMN order_key text;
CREATE INDEX webhook_deliveries_order ON webhook_deliveries (order_key) WHERE state = 'received' AND order_key IS NOT NULL;
