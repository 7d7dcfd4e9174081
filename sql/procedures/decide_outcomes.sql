-- decide_outcomes: decide what payment events do to their orders, in array order.
--
-- The first event that decides a pending order is applied: a failure, or a success of the order's amount in the shop's
-- currency. Each later event finds the order in its final status. Two successes with the same payment_id report one
-- payment, and the second is ignored. An event that waited too long decides nothing.
--
-- In      in_events      JSON           as apply_payments; with "is_too_old": 1 where an event waited too long
--         in_verdicts    VARCHAR(1000)  one letter per event: only chosen (+) ones count
--         in_locked_ids  JSON           array of the orders that the transaction has locked, others are unknown;
--                                       NULL: all of them are locked
-- Out     out_outcomes   VARCHAR(1000)  one letter per event:
--                                         P applied: paid          C applied: cancelled     W waiting
--                                         L refund due: too late   T refund due: paid twice
--                                         M refund due: wrong amount
--                                         O orphaned               I ignored                - not chosen
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     the caller's
CREATE PROCEDURE decide_outcomes(
    IN in_events JSON, IN in_verdicts VARCHAR(1000), IN in_locked_ids JSON, OUT out_outcomes VARCHAR(1000)
)
COMMENT 'decide what payment events do to their orders, in array order'
BEGIN
    SELECT /*+ SET_VAR(group_concat_max_len = 65536) */
        GROUP_CONCAT(
            CASE
                WHEN NOT is_chosen THEN '-'
                WHEN order_status IS NULL THEN 'W'
                WHEN is_too_old THEN 'O'
                WHEN decides AND order_status = 'pending' THEN IF(status = 'success', 'P', 'C')
                WHEN NOT is_money THEN 'I'
                WHEN order_status = 'pending' THEN 'M'
                WHEN order_status = 'cancelled' THEN 'L'
                ELSE 'T'
            END
            ORDER BY position SEPARATOR ''
        )
    INTO out_outcomes
    FROM (
        -- The order's status when each event arrives: an earlier event may have decided it.
        SELECT /*+ NO_MERGE(qualified) */
            position, status, is_chosen, is_too_old, is_money, decides,
            CASE
                WHEN order_status = 'pending'
                    AND FIRST_VALUE(decides) OVER decisive AND position > FIRST_VALUE(position) OVER decisive
                    THEN IF(FIRST_VALUE(status) OVER decisive = 'success', 'paid', 'cancelled')
                ELSE order_status
            END AS order_status
        FROM (
            SELECT /*+ NO_MERGE(told) */
                position, order_id, status, is_chosen, is_too_old, order_status,
                -- Nothing is paid for a free order, unless the event names an amount.
                is_new_success AND (order_amount > 0 OR COALESCE(amount, 0) > 0) AS is_money,
                is_chosen AND NOT is_too_old AND order_status IS NOT NULL AND (
                    status = 'failure'
                    OR (is_new_success AND currency IS NULL AND COALESCE(amount = order_amount, TRUE))
                ) AS decides
            FROM (
                SELECT
                    event_.position, event_.order_id, known.status, event_.amount, event_.currency,
                    COALESCE(event_.is_too_old, 0) AS is_too_old,
                    SUBSTRING(in_verdicts, event_.position, 1) = '+' AS is_chosen,
                    order_.status AS order_status,
                    order_.amount AS order_amount,
                    known.status = 'success' AND (
                        event_.payment_id IS NULL
                        OR (
                            ROW_NUMBER() OVER (
                                PARTITION BY
                                    SUBSTRING(in_verdicts, event_.position, 1),
                                    event_.order_id, event_.payment_id, known.status
                                ORDER BY event_.position
                            ) = 1
                            AND NOT EXISTS (
                                SELECT 1 FROM payment_events AS settled
                                WHERE
                                    settled.payment_id = CAST(event_.payment_id AS BINARY)
                                    AND settled.order_id = event_.order_id
                                    AND settled.status = 'success' AND settled.outcome <> 'waiting'
                            )
                        )
                    ) AS is_new_success
                FROM JSON_TABLE(in_events, '$[*]' COLUMNS (
                    position FOR ORDINALITY,
                    order_id BIGINT PATH '$.order_id',
                    status VARCHAR(16) PATH '$.status',
                    payment_id VARCHAR(255) PATH '$.payment_id',
                    amount DECIMAL(20, 2) PATH '$.amount',
                    currency CHAR(3) PATH '$.currency',
                    is_too_old INT PATH '$.is_too_old'
                )) AS event_
                LEFT JOIN payment_statuses AS known ON known.word = CAST(event_.status AS BINARY)
                LEFT JOIN orders AS order_
                    ON order_.id = event_.order_id AND (in_locked_ids IS NULL OR order_.id MEMBER OF (in_locked_ids))
            ) AS told
        ) AS qualified
        WINDOW decisive AS (PARTITION BY order_id ORDER BY decides DESC, position ASC)
    ) AS arrived;
END
