"""The SQL uses only what MySQL 8.4 has, the oldest server that the project accepts.

These tests read the SQL. To run all tests on such a server, put its mysqld on PATH or name it in MYSQL_URL.
"""

import re

from service.deploy import ROOT
from stack.programs import OLDEST_MYSQL

CODE = {
    path: re.sub(r"'(?:[^'\\]|''|\\.)*'|^\s*--.*$", "", path.read_text(), flags=re.M)
    for folder in ("sql/procedures", "sql/views", "sql/events", "migrations")
    for path in sorted((ROOT / folder).glob("*.sql"))
} | {ROOT / "sql/accounts.sql": (ROOT / "sql/accounts.sql").read_text()}

# Every keyword, type, function and hint that the SQL uses. The manual of MySQL 8.4 has each of them, under
# "Keywords and Reserved Words", "Built-In Function and Operator Reference" or "Optimizer Hints".
WORDS = set((ROOT / "tests/contract/mysql_8_4_words.txt").read_text().split())


def test_no_keyword_is_newer_than_mysql_8_4() -> None:
    used = {word for text in CODE.values() for word in re.findall(r"\b[A-Z][A-Z_]+\b", text)}
    assert used <= WORDS, f"find {used - WORDS} in the manual of MySQL 8.4, then add them to mysql_8_4_words.txt"


def test_only_functions_of_the_project_are_called_in_lower_case() -> None:
    ours = {path.stem for path in (ROOT / "sql/procedures").glob("*.sql")}
    for path, text in CODE.items():
        assert set(re.findall(r"(?<![\w.])([a-z]\w*)\(", text)) <= ours, path


def test_no_syntax_is_newer_than_mysql_8_4() -> None:
    for path, text in CODE.items():
        assert not re.search(r"\bVIEW IF NOT EXISTS\b", text), f"{path}: since 9.1"


def test_the_oldest_accepted_server_is_mysql_8_4() -> None:
    assert OLDEST_MYSQL == (8, 4)
