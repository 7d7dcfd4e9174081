-- create_event_receiver: have the events from now on delivered to a URL of the shop.
--
-- The secret is shown here and never again. It is made inside the INSERT, so that no statement's text contains it.
--
-- In      in_url    VARCHAR(2048)  https; http only for addresses from 127.0.0.0/8 and [::1]; no user, no fragment; at
--                                  most 1,024 characters of ASCII
--         in_types  VARCHAR(1024)  the types to deliver, separated by commas; NULL: every type
-- Out     one row: receiver_id, secret (whsec_…, signs each event as Standard Webhooks defines), position (events after
--         it are delivered)
-- Errors  30001 invalid_request, 30003 transaction_in_progress
-- Locks   as number_events; then its own new row; until COMMIT
-- Retry   no: it makes another receiver
-- Txn     its own; refused inside another
CREATE PROCEDURE create_event_receiver(IN in_url VARCHAR(2048), IN in_types VARCHAR(1024))
COMMENT 'have the events from now on delivered to a URL of the shop'
BEGIN
    DECLARE v_receiver_id BIGINT;
    DECLARE v_last_position BIGINT;
    DECLARE v_purged_position BIGINT;

    IF
        COALESCE(
            LENGTH(in_url) > 1024
            OR NOT REGEXP_LIKE(
                in_url,
                CONCAT(
                    '^(https://([A-Za-z0-9-]{1,63}([.][A-Za-z0-9-]{1,63})*|\\[[0-9A-Fa-f:.]+\\])',
                    '|http://(127([.][0-9]{1,3}){3}|\\[::1\\]))',
                    '(:[1-9][0-9]{0,4})?(/[!-"$-~]*)?\\z'
                ),
                'c'
            ),
            TRUE
        )
        OR NOT COALESCE(REGEXP_LIKE(in_types, '^[a-z.,]+\\z', 'c'), TRUE) -- MySQL takes a number as members of a SET
    THEN
        CALL raise_error(30001);
    END IF;
    CALL number_events(v_last_position, v_purged_position);
    CALL begin_transaction();
    BEGIN
        DECLARE EXIT HANDLER FOR 1265 -- types has no such member
        BEGIN
            ROLLBACK;
            CALL raise_error(30001);
        END;
        DECLARE EXIT HANDLER FOR SQLEXCEPTION
        BEGIN
            ROLLBACK;
            RESIGNAL;
        END;

        INSERT INTO event_receivers (url, types, position, secret, created_by)
        VALUES (in_url, in_types, v_last_position, CONCAT('whsec_', TO_BASE64(RANDOM_BYTES(32))), USER());
        SET v_receiver_id = LAST_INSERT_ID();
        COMMIT;
    END;
    SELECT id AS receiver_id, secret, position FROM event_receivers WHERE id = v_receiver_id;

    COMMIT; -- the transaction that the SELECT above may have opened, see begin_transaction
END
