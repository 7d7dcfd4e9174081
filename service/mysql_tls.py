"""The TLS contexts of connections to MySQL.

The driver's own contexts trust every authority of the system beside the one of `ssl_ca`. They also read the system's
authorities for each connection, which blocks the event loop for some 40 ms.
"""

import ssl
from collections.abc import Sequence
from typing import Any, cast

import mysql.connector


def build_ssl_context(
    ssl_ca: str | None = None,
    ssl_cert: str | None = None,
    ssl_key: str | None = None,
    *,
    ssl_verify_cert: bool = False,
    ssl_verify_identity: bool = False,
    tls_versions: Sequence[str] | None = None,
    tls_cipher_suites: Sequence[str] | None = None,
) -> ssl.SSLContext:
    """Replace the driver's function of this name. The system's authorities count only where none is named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = ssl_verify_identity
    context.verify_mode = ssl.CERT_REQUIRED if ssl_verify_cert else ssl.CERT_NONE
    try:
        if ssl_ca:
            context.load_verify_locations(ssl_ca)
        elif ssl_verify_cert:
            context.load_default_certs()
        if ssl_cert:
            context.load_cert_chain(ssl_cert, ssl_key)
        if tls_versions:
            versions = [ssl.TLSVersion[name.replace(".", "_")] for name in tls_versions]
            context.minimum_version, context.maximum_version = min(versions), max(versions)
        if tls_cipher_suites and context.maximum_version == ssl.TLSVersion.TLSv1_2:
            context.set_ciphers(":".join(tls_cipher_suites))
    except OSError as error:
        raise mysql.connector.InterfaceError(f"ssl_ca or ssl_cert cannot be used: {error}") from error
    return context


class BlockingConnection(mysql.connector.MySQLConnection):
    """The driver's blocking connection, with the context of this module."""

    def _do_handshake(self) -> None:
        cast("Any", self._socket).build_ssl_context = build_ssl_context
        super()._do_handshake()
