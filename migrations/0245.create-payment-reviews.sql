-- A table of its own, so that ordinary payments cost nothing more.
CREATE TABLE payment_reviews (
    event_id BIGINT NOT NULL COMMENT 'a dispute, or a success of another amount than its order''s',
    settled_at DATETIME NULL COMMENT 'UTC; when an operator settled the review',
    settled_by VARCHAR(288) NULL COMMENT 'account',
    PRIMARY KEY (event_id)
) COMMENT = 'payment events that an operator has to review';
