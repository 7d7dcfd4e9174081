-- verdict_errno: return the errno of a verdict letter.
--
-- A batch has one letter per request, at the request's position in the array:
--   . open    + chosen in this round    a accepted    r replay of an accepted one    - names no known order
--   and the refusals below. Set statements select their rows by these letters.
--
-- In      in_verdict  CHAR(1)
-- Out     INT, NULL where the letter is no refusal
-- Errors  none
-- Locks   none
-- Retry   safe
-- Txn     none
CREATE FUNCTION verdict_errno(in_verdict CHAR(1) CHARSET ascii COLLATE ascii_bin)
RETURNS INT
DETERMINISTIC
NO SQL
COMMENT 'return the errno of a verdict letter'
RETURN CASE in_verdict
    WHEN 'i' THEN 30001 -- invalid_request
    WHEN 'k' THEN 30002 -- idempotency_key_reused
    WHEN 'p' THEN 30101 -- product_not_found
    WHEN 's' THEN 30102 -- insufficient_stock
    WHEN 'q' THEN 30103 -- quantity_out_of_range
    WHEN 'n' THEN 30104 -- sale_not_open
    WHEN 'm' THEN 30105 -- customer_limit_reached
    WHEN 'd' THEN 30106 -- customer_id_required
    WHEN 'v' THEN 30107 -- product_archived
    WHEN 'h' THEN 30201 -- hold_not_found
    WHEN 'e' THEN 30202 -- hold_expired
    WHEN 'u' THEN 30203 -- hold_already_used
    WHEN 'l' THEN 30204 -- hold_released
    WHEN 'o' THEN 30301 -- order_not_found
    WHEN 'b' THEN 30302 -- order_already_paid
    WHEN 'c' THEN 30303 -- order_cancelled
    WHEN 'w' THEN 30304 -- order_not_paid
    WHEN 'x' THEN 30305 -- refund_exceeds_order
END
