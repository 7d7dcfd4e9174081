-- set_selling_rules: set a product's sale window and its maximum per customer.
--
-- Existing holds do not change. The maximum counts the units of a customer's active holds, pending and paid orders,
-- those from before it was set included, if they named their customer.
--
-- A time is refused unless the session's time_zone is +00:00, UTC, or the SYSTEM of a host that is set to UTC. In
-- another zone MySQL converts a time that has an offset before the procedure sees it, and NOW() gives the zone's time.
--
-- In      in_product_id            BIGINT
--         in_starts_at             DATETIME  UTC, from the year 2000 on; NULL: at once
--         in_ends_at               DATETIME  UTC, after in_starts_at; NULL: never
--         in_maximum_per_customer  BIGINT    units, 1 to 1,000,000; NULL: no limit
-- Out     one row: product_id, starts_at, ends_at, maximum_per_customer
-- Errors  30001 invalid_request, 30003 transaction_in_progress, 30101 product_not_found
-- Locks   the product, then its stock; until COMMIT
-- Retry   safe
-- Txn     its own; refused inside another
CREATE PROCEDURE set_selling_rules(
    IN in_product_id BIGINT, IN in_starts_at DATETIME, IN in_ends_at DATETIME, IN in_maximum_per_customer BIGINT
)
COMMENT 'set a product''s sale window and its maximum per customer'
BEGIN
    IF
        COALESCE(in_product_id < 1, TRUE)
        -- A MySQL that is not strict converts an invalid date to the year 0.
        OR COALESCE(YEAR(in_starts_at) < 2000, FALSE)
        OR COALESCE(YEAR(in_ends_at) < 2000, FALSE)
        OR COALESCE(in_starts_at >= in_ends_at, FALSE)
        OR COALESCE(in_maximum_per_customer NOT BETWEEN 1 AND 1000000, FALSE)
        OR (
            COALESCE(in_starts_at, in_ends_at) IS NOT NULL
            AND @@session.time_zone NOT IN ('+00:00', 'UTC')
            -- Name and clock are compared, because TZ=UTC-2 is called UTC, and London's clock is at UTC in winter.
            AND NOT (
                @@session.time_zone = 'SYSTEM' AND @@system_time_zone = 'UTC' AND NOW() = UTC_TIMESTAMP()
            )
        )
    THEN
        CALL raise_error(30001);
    END IF;

    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        UPDATE products
        SET starts_at = in_starts_at, ends_at = in_ends_at, maximum_per_customer = in_maximum_per_customer
        WHERE id = in_product_id;
        -- The version tells caches that the product has changed.
        UPDATE stock SET version = version + 1 WHERE product_id = in_product_id;
        IF ROW_COUNT() = 0 THEN
            CALL raise_error(30101);
        END IF;
        COMMIT;
    END;
    SELECT id AS product_id, starts_at, ends_at, maximum_per_customer FROM products WHERE id = in_product_id;

    COMMIT; -- the transaction that the SELECTs above may have opened, see begin_transaction
END
