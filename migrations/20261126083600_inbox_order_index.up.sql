-- Whether a delivery is the first of its key is one look into this index, however many wait behind it.
DROP INDEX webhook_deliveries_order;
CREATE INDEX webhook_deliveries_order ON webhook_deliveries
    (order_key, coalesce(comment_id, 0), received_at, delivery_id) WHERE state = 'received' AND order_key IS NOT NULL;
