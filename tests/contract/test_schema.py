"""The schema that a deploy creates, and sql/schema.sql, which shows it."""

import re
from collections.abc import Iterator
from contextlib import closing

import pytest

from docs.generate.schema import write_schema
from service.deploy import ROOT, DeployError, deploy
from service.mysql_url import MysqlUrl
from stack.serve import drop_database_from_before_baseline
from stack.servers import Servers
from tests.support import Session


def test_schema_sql_is_the_schema_of_a_new_database(database_url: str) -> None:
    assert (ROOT / "sql" / "schema.sql").read_text() == write_schema(MysqlUrl.parse(database_url)), (
        "generate it again: python -m docs.generate.schema > sql/schema.sql"
    )


@pytest.fixture
def older_database_url(database_url: str, session: Session) -> Iterator[str]:
    """The file's database with a migration from before the baseline."""
    session.execute(
        "INSERT INTO _yoyo_migration (migration_hash, migration_id, applied_at_utc)"
        " VALUES ('older', '0022.update-schema-release', UTC_TIMESTAMP())"
    )
    yield database_url
    session.execute("DELETE FROM _yoyo_migration WHERE migration_hash = 'older'")


def test_a_database_from_before_the_baseline_is_refused(older_database_url: str) -> None:
    with pytest.raises(DeployError, match=r"before 0\.9\.0.*drop it, or name another one"):
        deploy(older_database_url)


def test_script_server_drops_a_private_database_from_before_the_baseline(
    servers: Servers, capsys: pytest.CaptureFixture[str]
) -> None:
    administrator = MysqlUrl.parse(servers.mysql_url).for_database("older")
    with closing(Session(servers.mysql_url)) as server:
        server.execute("CREATE DATABASE older")
        server.execute("CREATE TABLE older._yoyo_migration (migration_id VARCHAR(255) PRIMARY KEY)")
        drop_database_from_before_baseline(administrator)
        assert server.query("SHOW DATABASES LIKE 'older'") != []
        server.execute("INSERT INTO older._yoyo_migration VALUES ('0001.create-products')")
        drop_database_from_before_baseline(administrator)
        assert server.query("SHOW DATABASES LIKE 'older'") == []
    assert "Dropping the private database older" in capsys.readouterr().out


def test_there_is_no_foreign_key(database_url: str) -> None:
    """It would lock the parent row, outside the lock order."""
    assert "FOREIGN KEY" not in write_schema(MysqlUrl.parse(database_url))


def test_every_table_has_a_comment_a_primary_key_and_the_common_collation(session: Session) -> None:
    rows = session.query(
        "SELECT table_name AS name, table_comment AS comment_, table_collation AS collation_, engine "
        "FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' "
        "AND table_name NOT LIKE '%yoyo%'"
    )
    for row in rows:
        assert row["comment_"], row["name"]
        assert (row["collation_"], row["ENGINE"]) == ("utf8mb4_0900_bin", "InnoDB")
        assert "PRIMARY KEY" in session.query(f"SHOW CREATE TABLE {row['name']}")[0]["Create Table"]


def test_no_migration_creates_a_routine() -> None:
    for path in (ROOT / "migrations").glob("*.sql"):
        assert not re.search(r"CREATE\W+(PROCEDURE|FUNCTION|TRIGGER|EVENT|VIEW)\b", path.read_text()), path.name


def test_every_migration_has_a_rollback() -> None:
    for path in (ROOT / "migrations").glob("*[!k].sql"):
        assert path.with_suffix(".rollback.sql").exists(), path.name


def test_every_migration_is_one_statement() -> None:
    """MySQL's DDL is not transactional, so a migration of several statements could fail half-way."""
    for path in (ROOT / "migrations").glob("*.sql"):
        lines = [line for line in path.read_text().splitlines() if not line.startswith("--")]
        assert "\n".join(lines).rstrip().count(";\n") == 0, path.name
