-- The GTIDs of all transactions that this member has: those that it committed, and those that it received only.

SELECT CONCAT_WS(',', NULLIF(@@GLOBAL.gtid_executed, ''), NULLIF(MAX(received_transaction_set), '')) AS transactions
FROM performance_schema.replication_connection_status
WHERE channel_name = 'group_replication_applier';
