-- The account by which the members reach each other, the same on every member. Choose a password of your own.
-- It is used over TLS: to recover, to clone, and for the group's messages.

-- Only administrators may write meanwhile: read_only stays on.
SET GLOBAL super_read_only = OFF;
CREATE USER IF NOT EXISTS group_replication@'%' REQUIRE SSL;
ALTER USER group_replication@'%' IDENTIFIED BY 'the password of group_replication';
GRANT REPLICATION SLAVE, CONNECTION_ADMIN, BACKUP_ADMIN, GROUP_REPLICATION_STREAM ON *.* TO group_replication@'%';
SET GLOBAL super_read_only = ON;
CHANGE REPLICATION SOURCE TO SOURCE_USER = 'group_replication', SOURCE_PASSWORD = 'the password of group_replication'
    FOR CHANNEL 'group_replication_recovery';
