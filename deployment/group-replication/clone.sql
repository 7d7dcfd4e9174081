-- Join the group with a copy of another member's data. All data of this server is lost.

STOP GROUP_REPLICATION;
-- Transactions of this server alone, such as the creation of its root account, would keep it out of the group.
RESET BINARY LOGS AND GTIDS;
-- Copy all data if a single transaction is missing. The server restarts after the copy, which ends this setting.
SET GLOBAL group_replication_clone_threshold = 1;
START GROUP_REPLICATION;
