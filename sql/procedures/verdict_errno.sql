-- verdict_errno: return the errno of a verdict letter.
--
-- A batch has one letter per request, at the request's position in the array:
--   . open    + chosen in this round    a accepted    r replay of an accepted one
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
    WHEN 'i' THEN 30001
    WHEN 'k' THEN 30002
    WHEN 'p' THEN 30101
    WHEN 's' THEN 30102
    WHEN 'q' THEN 30103
    WHEN 'n' THEN 30104
    WHEN 'm' THEN 30105
    WHEN 'd' THEN 30106
    WHEN 'h' THEN 30201
    WHEN 'e' THEN 30202
    WHEN 'u' THEN 30203
    WHEN 'l' THEN 30204
    WHEN 'o' THEN 30301
    WHEN 'b' THEN 30302
    WHEN 'c' THEN 30303
END
