"""MysqlUrl: what stack and service tell each other about a database."""

import pytest

from service.database import connection_options
from stack.errors import StackError
from stack.mysql import MysqlUrl


def test_any_password_survives_a_round_trip() -> None:
    """A password may hold what means something in a URL."""
    url = MysqlUrl("root", "p@ss:w/ö?rd#%'", "db.example", 3307, "checkout", {"unix_socket": "/run/a b/mysql.sock"})
    assert MysqlUrl.parse(str(url)) == url


def test_the_service_reads_the_same_from_a_url() -> None:
    """The service has a reader of its own, which must agree with our writer."""
    url = MysqlUrl("checkout_app", "p@ss:/?#%", "127.0.0.1", 3307, "checkout", {"unix_socket": "/run/mysql.sock"})
    assert connection_options(str(url)) == {
        "user": "checkout_app",
        "password": "p@ss:/?#%",
        "host": "127.0.0.1",
        "port": 3307,
        "database": "checkout",
        "unix_socket": "/run/mysql.sock",
        "time_zone": "+00:00",
    }


def test_what_a_url_leaves_out_gets_the_usual_value() -> None:
    """Host and port may be left out."""
    assert MysqlUrl.parse("mysql://root@") == MysqlUrl("root", "", "127.0.0.1", 3306, "")


@pytest.mark.parametrize("text", ["", "localhost", "postgres://root@localhost/checkout", "mysql://localhost/checkout"])
def test_another_kind_of_url_is_refused_with_an_example(text: str) -> None:
    """The message shows what is expected."""
    with pytest.raises(StackError, match="mysql://user:password@host:port/database"):
        MysqlUrl.parse(text)
