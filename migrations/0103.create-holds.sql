-- A batch finds the ids of the holds that it inserted by inserted_by and position, because MySQL does not promise that
-- the ids of an INSERT ... SELECT are consecutive.
CREATE TABLE holds (
    id BIGINT NOT NULL AUTO_INCREMENT,
    product_id BIGINT NOT NULL,
    quantity INT NOT NULL COMMENT 'units',
    status ENUM('active', 'ordered', 'expired', 'released') NOT NULL DEFAULT 'active',
    expires_at DATETIME NOT NULL COMMENT 'UTC; expired from this second on',
    is_extended BOOLEAN NOT NULL DEFAULT FALSE COMMENT 'the deadline was moved, which is allowed once',
    caller VARBINARY(64) NOT NULL DEFAULT '' COMMENT 'who made the hold; empty where no API keys are used',
    inserted_by INT UNSIGNED NOT NULL COMMENT 'connection id',
    position SMALLINT UNSIGNED NOT NULL COMMENT 'in its batch, from 1',
    PRIMARY KEY (id),
    KEY holds_by_deadline (status, expires_at),
    CONSTRAINT holds_quantity_positive CHECK (quantity >= 1)
) COMMENT = 'units reserved until a deadline';
