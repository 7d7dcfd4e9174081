"""MysqlUrl: parsing of MYSQL_URL, and the driver's options."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import SettingsError
from service.mysql_url import Address, MysqlUrl

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.text("abc.-_09", min_size=1, max_size=20)
IPV6 = st.ip_addresses(v=6).map(str).filter(lambda address: "%" not in address)
ADDRESSES = st.builds(Address, NAMES | IPV6, st.integers(1, 65535))


@given(
    st.builds(
        MysqlUrl,
        user=TEXT.filter(bool),
        password=TEXT,
        hosts=st.lists(ADDRESSES, min_size=1, max_size=9).map(tuple),
        database=TEXT,
        options=st.dictionaries(st.sampled_from(["ssl_ca", "ssl_verify_identity"]), TEXT.filter(bool)),
    )
)
def test_parsing_a_written_url_returns_the_same_url(url: MysqlUrl) -> None:
    assert MysqlUrl.parse(str(url)) == url


@pytest.mark.parametrize(
    ("hosts", "addresses"),
    [
        ("", [("127.0.0.1", 3306)]),
        ("db", [("db", 3306)]),
        ("a:3307,b:3308,c", [("a", 3307), ("b", 3308), ("c", 3306)]),
        ("[::1]", [("::1", 3306)]),
        ("[::1]:3307,10.0.0.7,[fd00::2]:3308", [("::1", 3307), ("10.0.0.7", 3306), ("fd00::2", 3308)]),
    ],
)
def test_a_url_may_name_several_hosts_with_their_ports(hosts: str, addresses: list[tuple[str, int]]) -> None:
    assert list(MysqlUrl.parse(f"mysql://root:secret@{hosts}/checkout").hosts) == addresses


def test_a_url_needs_only_an_account() -> None:
    assert MysqlUrl.parse("mysql://root@") == MysqlUrl("root", "", (Address("127.0.0.1", 3306),), "", {})


def test_user_password_and_database_are_percent_encoded() -> None:
    url = MysqlUrl.parse("mysql://us%40er:p%40ss%3A%2F%3F%23%25:@db/check%20out")
    assert (url.user, url.password, url.database) == ("us@er", "p@ss:/?#%:", "check out")


@pytest.mark.parametrize(
    "text",
    [
        *("", "checkout", "postgresql://app@db/checkout", "mysql://db/checkout", "mysql://:secret@db/checkout"),
        *("mysql://app:secret@db:port/", "mysql://app:secret@db:0/", "mysql://app:secret@db:65536/"),
        *("mysql://app:secret@db:/", "mysql://app:secret@a,,b/", "mysql://app:secret@a,/", "mysql://app:secret@a b/"),
        *("mysql://app:secret@::1/", "mysql://app:secret@[::1/", "mysql://app:secret@[db]/"),
        *("mysql://app:secret/2@db/", "mysql://app:secret@2@db/", "mysql://app:sécret@db/", "mysql://app:secret@db/#"),
        "mysql://app:secret@a,b/checkout?unix_socket=/run/mysqld.sock",
    ],
)
def test_an_invalid_url_is_refused_by_the_setting_s_name_and_not_shown(text: str) -> None:
    with pytest.raises(SettingsError, match="MYSQL_URL") as refused:
        MysqlUrl.parse(text)
    assert "cret" not in str(refused.value)


def test_repr_does_not_show_the_password() -> None:
    assert "secret" not in repr(MysqlUrl.parse("mysql://app:secret@db/checkout"))


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("mysql://app@/", {"user": "app", "password": "", "host": "127.0.0.1", "port": 3306, "time_zone": "+00:00"}),
        (
            "mysql://app:p%40ss@db.example:3307/checkout?ssl_ca=/etc/ca.pem",
            {
                "user": "app",
                "password": "p@ss",
                "host": "db.example",
                "port": 3307,
                "database": "checkout",
                "ssl_ca": "/etc/ca.pem",
                "ssl_verify_cert": True,
                "ssl_verify_identity": True,
                "time_zone": "+00:00",
            },
        ),
        (
            "mysql://app@/checkout?unix_socket=/run/my%20sql.sock&ssl_disabled=false",
            {
                "user": "app",
                "password": "",
                "host": "127.0.0.1",
                "port": 3306,
                "database": "checkout",
                "unix_socket": "/run/my sql.sock",
                "ssl_disabled": False,
                "time_zone": "+00:00",
            },
        ),
    ],
)
def test_a_url_becomes_the_driver_s_options(text: str, options: dict[str, Any]) -> None:
    assert MysqlUrl.parse(text).driver_options() == options


def test_the_options_apply_to_each_of_several_hosts() -> None:
    url = MysqlUrl.parse("mysql://app@a,b:3307/checkout?ssl_ca=/etc/ca.pem")
    for address in url.hosts:
        options = url.for_host(address).driver_options()
        assert (options["host"], options["port"]) == address
        assert options["ssl_verify_identity"] is True


def test_the_driver_s_options_need_a_single_host() -> None:
    with pytest.raises(ValueError, match="unpack"):
        MysqlUrl.parse("mysql://app@a,b/").driver_options()


def test_replacing_one_part_of_a_url_keeps_the_others() -> None:
    url = MysqlUrl.parse("mysql://root:secret@a:3307,b/checkout?ssl_ca=/etc/ca.pem")
    assert url.for_account("app", "other") == replace(url, user="app", password="other")
    assert url.for_database("") == replace(url, database="")
    assert url.for_host(Address("b")) == replace(url, hosts=(Address("b", 3306),))
