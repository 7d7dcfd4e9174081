"""SQL reads time in UTC, so that nothing depends on the time zone of a session or a server."""

import re

from service.deploy import ROOT

FOLDERS = ("sql/procedures", "sql/views", "sql/events", "migrations")
CODE = {
    path.name: re.sub(r"^\s*--.*$", "", path.read_text(), flags=re.M)
    for folder in FOLDERS
    for path in (ROOT / folder).glob("*.sql")
}
ZONED = re.compile(
    r"\b(NOW|SYSDATE|CURDATE|CURTIME|CURRENT_(?:DATE|TIME|TIMESTAMP)|LOCALTIME(?:STAMP)?|UNIX_TIMESTAMP|FROM_UNIXTIME"
    r"|CONVERT_TZ|TIMESTAMP(?: NOT)? NULL)\b"
)


def test_sql_reads_no_clock_but_utc() -> None:
    """set_selling_rules compares the two clocks, in order to detect the time zone of its session."""
    found = {name: ZONED.findall(text) for name, text in CODE.items()}
    assert {name: words for name, words in found.items() if words} == {"set_selling_rules.sql": ["NOW"]}
