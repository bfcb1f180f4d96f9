-- Takes back 20261126010940_inbox_order.up.sql, over a database that holds rows.
DROP INDEX webhook_deliveries_order;
ALTER TABLE webhook_deliveries DROP COLUMN order_key;
