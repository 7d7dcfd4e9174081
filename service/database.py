"""Connections to MySQL: what a URL means, and one connection that calls procedures one after another."""

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from service.settings import SettingsError


def connection_options(url: str) -> dict[str, Any]:
    """Arguments for mysql.connector.connect from `mysql://user:password@host:port/database?unix_socket=…`.

    Members of the query are passed on as they are named by the driver (unix_socket, ssl_ca, ssl_verify_identity, …).
    Raises SettingsError.
    """
    parts = urlsplit(url)
    if parts.scheme != "mysql" or not parts.username:
        raise SettingsError("MYSQL_URL: expected mysql://user:password@host:port/database")
    options: dict[str, Any] = {
        "user": unquote(parts.username),
        "password": unquote(parts.password or ""),
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or 3306,
        "database": parts.path.lstrip("/") or None,
    }
    switches = {"true": True, "false": False}
    options.update((name, switches.get(value, value)) for name, value in parse_qsl(parts.query))
    return {name: value for name, value in options.items() if value is not None}
