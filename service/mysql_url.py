"""URLs of MySQL: `mysql://user:password@host:port,host:port/database?option=value`."""

import re
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlencode

from service.errors import SettingsError

EXPECTED = "MYSQL_URL: expected mysql://user:password@host:port/database, percent-encoded, several hosts with commas"
LARGEST_PORT = 65535
TEXT = r"[\w.~!$&'()*+,;=%-]"  # of a user, password or database; anything else has to be percent-encoded
URL = re.compile(
    rf"mysql://(?P<user>{TEXT}+)(:(?P<password>({TEXT}|:)*))?@(?P<hosts>[^@/?#]*)"
    rf"(/(?P<database>{TEXT}*))?(\?(?P<options>[^#]*))?",
    re.ASCII,
)
HOST = re.compile(r"(\[(?P<ipv6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]+)\]|(?P<name>[\w.-]+))(:(?P<port>[0-9]{1,5}))?", re.ASCII)


class Address(NamedTuple):
    """A host and the port on which its server listens; as text an IPv6 host has brackets."""

    host: str = "127.0.0.1"
    port: int = 3306

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class MysqlUrl:
    """An account and a database on one server, or on the members of a group; `str` gives the URL.

    The options are those of the driver (unix_socket, ssl_ca, ssl_verify_identity, …) and hold for every host. A
    unix_socket takes the place of the one host.
    """

    user: str
    password: str = field(default="", repr=False)
    hosts: tuple[Address, ...] = (Address(),)
    database: str = ""
    options: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> "MysqlUrl":
        """Read a URL. Raises SettingsError, whose message quotes nothing: any part may be a password."""
        parts = URL.fullmatch(text)
        if parts is None:
            raise SettingsError(EXPECTED)
        hosts = tuple(_parse_host(host) for host in parts["hosts"].split(",")) if parts["hosts"] else cls.hosts
        options = dict(parse_qsl(parts["options"] or ""))
        if "unix_socket" in options and len(hosts) > 1:
            raise SettingsError("MYSQL_URL: unix_socket means one server, but there are several hosts")
        return cls(
            user=unquote(parts["user"]),
            password=unquote(parts["password"] or ""),
            hosts=hosts,
            database=unquote(parts["database"] or ""),
            options=options,
        )

    def __str__(self) -> str:
        account = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        hosts = ",".join(map(str, self.hosts))
        options = f"?{urlencode(self.options, safe='/')}" if self.options else ""
        return f"mysql://{account}@{hosts}/{quote(self.database, safe='')}{options}"

    def for_account(self, user: str, password: str) -> "MysqlUrl":
        """The same under another account."""
        return replace(self, user=user, password=password)

    def for_database(self, database: str) -> "MysqlUrl":
        """The same with another database, or with none where it is empty."""
        return replace(self, database=database)

    def for_host(self, address: Address) -> "MysqlUrl":
        """The same on one host."""
        return replace(self, hosts=(address,))

    def driver_options(self) -> dict[str, Any]:
        """Arguments for mysql.connector.connect, where the URL has one host.

        The session's time zone is UTC. With ssl_ca, the driver refuses a server that cannot prove to be that host, also
        one without TLS; with ssl_verify_identity=false it may be another host of the same authority.
        """
        ((host, port),) = self.hosts
        switches = {"true": True, "false": False}
        options: dict[str, Any] = {name: switches.get(value, value) for name, value in self.options.items()}
        if "ssl_ca" in options or options.get("ssl_verify_identity"):
            # The driver by itself checks nothing, and without ssl_verify_cert it goes on in plain text.
            options = {"ssl_verify_identity": True, **options, "ssl_verify_cert": True}
        account = {"user": self.user, "password": self.password, "host": host, "port": port}
        database = {"database": self.database} if self.database else {}
        return {**options, **account, **database, "time_zone": "+00:00"}


def _parse_host(text: str) -> Address:
    parts = HOST.fullmatch(text)
    port = int(parts["port"] or Address().port) if parts else 0
    if parts is None or not 1 <= port <= LARGEST_PORT:
        raise SettingsError(EXPECTED)
    return Address(parts["ipv6"] or parts["name"], port)
