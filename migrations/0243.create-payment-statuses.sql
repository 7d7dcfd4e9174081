-- Which words a payment event may carry, and what each of them means.
CREATE TABLE payment_statuses (
    word VARBINARY(16) NOT NULL COMMENT 'as delivered: bytes, no collation',
    status ENUM(
        'success', 'failure', 'declined', 'pending', 'processing', 'authorized', 'refunded', 'disputed'
    ) NOT NULL COMMENT 'as payment_events records it',
    PRIMARY KEY (word)
) COMMENT = 'words of payment providers and their statuses';
