-- The members of the group, as this one sees them, and how many transactions each has still to apply.

SELECT
    members.member_host,
    members.member_port,
    members.member_state,
    members.member_role,
    members.member_version,
    stats.count_transactions_in_queue + stats.count_transactions_remote_in_applier_queue AS queue
FROM performance_schema.replication_group_members AS members
LEFT JOIN performance_schema.replication_group_member_stats AS stats USING (member_id)
ORDER BY members.member_host, members.member_port;
