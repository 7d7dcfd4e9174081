-- The tables of the baseline "client-side transactions", as an ORM would create them.
CREATE TABLE products (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) NOT NULL,
    price DECIMAL(12, 2) NOT NULL,
    total BIGINT NOT NULL,
    available BIGINT NOT NULL,
    CHECK (available BETWEEN 0 AND total)
);
CREATE TABLE holds (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    product_id BIGINT NOT NULL,
    quantity INT NOT NULL,
    status ENUM('active', 'ordered', 'expired') NOT NULL,
    expires_at DATETIME NOT NULL,
    KEY (status, expires_at)
);
CREATE TABLE orders (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    hold_id BIGINT NOT NULL UNIQUE,
    product_id BIGINT NOT NULL,
    quantity INT NOT NULL,
    amount DECIMAL(20, 2) NOT NULL,
    status ENUM('pending', 'paid', 'cancelled') NOT NULL
);
CREATE TABLE payment_events (
    id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    idempotency_key VARBINARY(255) NOT NULL UNIQUE,
    order_id BIGINT NOT NULL,
    status ENUM('success', 'failure') NOT NULL
);
CREATE TABLE idempotency_keys (
    operation ENUM('hold', 'order') NOT NULL,
    idempotency_key VARBINARY(255) NOT NULL,
    result_id BIGINT NOT NULL,
    PRIMARY KEY (operation, idempotency_key)
);
