CREATE TABLE event_retries (
    receiver_id BIGINT NOT NULL,
    position BIGINT NOT NULL COMMENT 'of the event',
    order_id BIGINT NULL COMMENT 'of the event; later ones of an order wait for the first; NULL: of a hold',
    attempts INT NOT NULL DEFAULT 0 COMMENT 'that failed',
    moved_at DATETIME NOT NULL COMMENT 'UTC; it is set aside after three days',
    next_attempt_at DATETIME NULL COMMENT 'UTC; NULL: an earlier one of its order goes first, or it is set aside',
    set_aside_at DATETIME NULL COMMENT 'UTC; NULL: it is going to be retried',
    failure VARCHAR(255) NULL COMMENT 'of the last attempt',
    PRIMARY KEY (receiver_id, position),
    KEY event_retries_by_order (receiver_id, order_id, set_aside_at, position),
    KEY event_retries_by_attempt (receiver_id, next_attempt_at, position),
    KEY event_retries_by_state (receiver_id, set_aside_at, position)
) COMMENT = 'events that a receiver has passed and not accepted';
