-- id is no position for readers: a transaction that took a lower id may commit later. So number_events gives the
-- positions to committed events.
CREATE TABLE events (
    id BIGINT NOT NULL AUTO_INCREMENT COMMENT 'in the order of insertion',
    position BIGINT NULL COMMENT 'in the feed, without gaps; NULL: not given yet',
    type ENUM(
        'order.created', 'order.paid', 'order.cancelled', 'order.refunded', 'refund.due', 'hold.expired'
    ) NOT NULL,
    order_id BIGINT NULL COMMENT 'NULL: the event of a hold',
    hold_ids JSON NOT NULL COMMENT 'array, ascending: the holds of the order, or the hold',
    caller VARBINARY(64) NULL COMMENT 'who made the holds; empty where no API keys are used; NULL: nobody',
    occurred_at DATETIME NOT NULL COMMENT 'UTC',
    reason ENUM(
        'payment_failed', 'cancelled', 'timed_out', 'too_late', 'paid_twice', 'wrong_amount', 'orphaned'
    ) NULL COMMENT 'of order.cancelled and refund.due',
    amount DECIMAL(20, 2) NULL COMMENT 'of refund.due and order.refunded',
    payment_id VARBINARY(255) NULL COMMENT 'of refund.due; NULL: not named',
    refund_id BIGINT NULL COMMENT 'of order.refunded',
    status ENUM('paid', 'refunded') NULL COMMENT 'of order.refunded: the order''s',
    PRIMARY KEY (id),
    UNIQUE KEY events_by_position (position),
    KEY events_by_caller (caller, position)
) COMMENT = 'what happened to orders and holds, for whoever fulfils them';
