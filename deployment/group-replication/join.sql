-- Join the group with the data that this member has. It fetches what it missed.

STOP GROUP_REPLICATION;
START GROUP_REPLICATION;
