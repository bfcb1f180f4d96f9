DROP INDEX webhook_deliveries_order;
CREATE INDEX webhook_deliveries_order ON webhook_deliveries (order_key) WHERE state = 'received' AND order_key IS NOT NULL;
