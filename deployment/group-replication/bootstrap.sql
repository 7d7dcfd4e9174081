-- Form a new group with this member as its first one. Never while another member of the group is ONLINE: there would be
-- two groups. If START fails, run the last statement by hand.

STOP GROUP_REPLICATION;
SET GLOBAL group_replication_bootstrap_group = ON;
START GROUP_REPLICATION;
SET GLOBAL group_replication_bootstrap_group = OFF;
