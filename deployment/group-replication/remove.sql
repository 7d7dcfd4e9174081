-- Leave the group for good.

STOP GROUP_REPLICATION;
SET PERSIST group_replication_start_on_boot = OFF;
