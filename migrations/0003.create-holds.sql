-- inserted_by and position mark the rows of one batch, so that it finds the ids that it was given:
-- ids of an INSERT … SELECT are not promised to be consecutive.
CREATE TABLE holds (
    id BIGINT NOT NULL AUTO_INCREMENT,
    product_id BIGINT NOT NULL,
    quantity INT NOT NULL COMMENT 'units',
    status ENUM('active', 'ordered', 'expired', 'released') NOT NULL DEFAULT 'active',
    expires_at DATETIME NOT NULL COMMENT 'UTC; expired from this second on',
    inserted_by INT UNSIGNED NOT NULL COMMENT 'connection id',
    position SMALLINT UNSIGNED NOT NULL COMMENT 'in its batch, from 1',
    PRIMARY KEY (id),
    KEY holds_by_deadline (status, expires_at),
    CONSTRAINT holds_quantity_positive CHECK (quantity >= 1)
) COMMENT = 'units reserved for a short time';
