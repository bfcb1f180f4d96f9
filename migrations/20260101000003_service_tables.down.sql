DROP TABLE audit_events;
DROP TABLE user_repositories;
DROP TABLE sessions;
DROP TABLE outbox;
DROP TABLE webhook_deliveries;
