-- list_event_receivers: read the receivers to which events are delivered now, with their secrets.
--
-- In      nothing
-- Out     one row per active receiver: receiver_id, url, secret, previous_secret (signs too, for a day after a
--         rotation; otherwise NULL)
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     joins the caller's
CREATE PROCEDURE list_event_receivers()
COMMENT 'read the receivers to which events are delivered now, with their secrets'
BEGIN
    DECLARE v_is_own BOOLEAN;

    CALL begin_read(v_is_own);
    SELECT
        id AS receiver_id,
        url,
        secret,
        IF(rotated_at > UTC_TIMESTAMP() - INTERVAL 1 DAY, previous_secret, NULL) AS previous_secret
    FROM event_receivers
    WHERE state = 'active'
    ORDER BY id;
    CALL end_read(v_is_own);
END
