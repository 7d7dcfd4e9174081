"""sql/schema.sql is what a fresh deploy comes to."""

import re

from service.deploy import ROOT
from tests.contract.snapshot import snapshot
from tests.support import Session


def test_the_snapshot_in_the_repository_is_the_schema_deployed(session: Session) -> None:
    assert (ROOT / "sql" / "schema.sql").read_text() == snapshot(session), (
        "regenerate it: python -m tests.contract.snapshot > sql/schema.sql"
    )


def test_there_is_no_foreign_key(session: Session) -> None:
    """They lock the parent row, outside our order."""
    assert "FOREIGN KEY" not in snapshot(session)


def test_every_table_has_a_comment_a_primary_key_and_the_one_collation(session: Session) -> None:
    rows = session.query(
        "SELECT table_name AS name, table_comment AS comment_, table_collation AS collation_, engine "
        "FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' "
        "AND table_name NOT LIKE '%yoyo%'"
    )
    for row in rows:
        assert row["comment_"], row["name"]
        assert (row["collation_"], row["ENGINE"]) == ("utf8mb4_0900_bin", "InnoDB")
        assert "PRIMARY KEY" in session.query(f"SHOW CREATE TABLE {row['name']}")[0]["Create Table"]


def test_no_migration_makes_a_routine() -> None:
    for path in (ROOT / "migrations").glob("*.sql"):
        assert not re.search(r"CREATE\W+(PROCEDURE|FUNCTION|TRIGGER|EVENT|VIEW)\b", path.read_text()), path.name


def test_every_migration_has_its_way_back() -> None:
    for path in (ROOT / "migrations").glob("*[!k].sql"):
        assert path.with_suffix(".rollback.sql").exists(), path.name


def test_every_migration_is_one_statement() -> None:
    """MySQL's DDL is not transactional: one that fails half way is one that did nothing."""
    for path in (ROOT / "migrations").glob("*.sql"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("--")]
        assert "\n".join(lines).rstrip().count(";\n") == 0, path.name
