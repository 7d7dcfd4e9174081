"""The grants of sql/accounts.sql."""

import re

from service.deploy import read_account_statements

ROUTINE_GRANTS = re.findall(r"GRANT EXECUTE ON PROCEDURE (\w+) TO (\w+)@", ";".join(read_account_statements()))
PUBLIC_PROCEDURES = sorted({procedure for procedure, _ in ROUTINE_GRANTS})


def procedures_of(account: str) -> list[str]:
    """The procedures that an account or role may call."""
    return sorted(procedure for procedure, grantee in ROUTINE_GRANTS if grantee == account)
