CREATE TABLE event_receivers (
    id BIGINT NOT NULL AUTO_INCREMENT,
    url VARCHAR(1024) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    types SET(
        'order.created', 'order.paid', 'order.cancelled', 'order.refunded', 'refund.due', 'hold.expired'
    ) NULL COMMENT 'NULL: every type, later ones included',
    state ENUM('active', 'paused', 'gone') NOT NULL DEFAULT 'active' COMMENT 'gone: it answered 410',
    position BIGINT NOT NULL COMMENT 'each event up to it is accepted, or in event_retries',
    failed_batches INT NOT NULL DEFAULT 0 COMMENT 'in succession, in which nothing was accepted',
    resumes_at DATETIME NULL COMMENT 'UTC; no batch before it; NULL: at once',
    secret VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL COMMENT 'signs each event',
    previous_secret VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NULL COMMENT 'signs too, for a day',
    rotated_at DATETIME NULL COMMENT 'UTC',
    created_by VARCHAR(288) NOT NULL,
    PRIMARY KEY (id)
) COMMENT = 'the URLs of the shop to which events are delivered';
