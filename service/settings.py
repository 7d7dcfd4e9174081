"""The service's settings, from the environment and from `.env`; the environment takes precedence."""

import binascii
import os
import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from dotenv import dotenv_values, load_dotenv
from limits import RateLimitItem, parse
from msgspec import Meta
from standardwebhooks import Webhook

from service.errors import SettingsError
from service.mysql_url import MysqlUrl

Network = IPv4Network | IPv6Network

API_KEY = re.compile(r"([\w.-]{1,64}):([0-9a-f]{64})", re.ASCII)
STRIPE_SECRET = re.compile(r"whsec_[!-~]+")
ENVIRONMENT_FILE = Path(__file__).resolve().parent.parent / ".env"


# The settings that gunicorn's master has read last. All workers use these, even if `.env` changed since.
active: "Settings | None" = None


class Settings(msgspec.Struct, frozen=True, rename=str.upper):
    """The settings; their variables have the same names in capitals. `.env.example` explains each."""

    mysql_url: Annotated[str, Meta(pattern=r"^mysql://")]
    redis_url: Annotated[str, Meta(pattern=r"^(redis|rediss|unix)://")]
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    web_concurrency: Annotated[int, Meta(ge=1, le=1024)] = os.cpu_count() or 1
    queue_limit: Annotated[int, Meta(ge=1, le=1_000_000)] = 8192
    batch_limit: Annotated[int, Meta(ge=1, le=1000)] = 256
    request_deadline_s: Annotated[float, Meta(gt=0, le=60)] = 2.0
    webhook_secrets: str = ""
    stripe_webhook_secrets: str = ""
    stripe_currency: Annotated[str, Meta(pattern=r"^([A-Za-z]{3})?$")] = ""
    api_keys: str = ""
    rate_limit_per_key: str = ""
    rate_limit_per_address: str = ""
    trusted_proxies: str = ""
    path_prefix: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    otel_exporter_otlp_endpoint: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for invalid settings; the messages quote no URL, password or secret."""
        MysqlUrl.parse(self.mysql_url)
        try:
            urlsplit(self.redis_url).port  # noqa: B018 reading it is the check
        except ValueError:
            raise ValueError("REDIS_URL is no URL; percent-encode the password") from None
        if self.webhook_secrets and not self.verifiers():
            raise ValueError("WEBHOOK_SECRETS: the list is empty; leave the variable out")
        if self.stripe_webhook_secrets and not self.stripe_secrets():
            raise ValueError("STRIPE_WEBHOOK_SECRETS: the list is empty; leave the variable out")
        if self.stripe_webhook_secrets and not self.stripe_currency:
            raise ValueError("STRIPE_CURRENCY: needed with STRIPE_WEBHOOK_SECRETS: the shop's currency, such as EUR")
        if self.api_keys and not self.api_key_digests():
            raise ValueError("API_KEYS: the list is empty; leave the variable out")
        self.proxies()
        for name in ("RATE_LIMIT_PER_KEY", "RATE_LIMIT_PER_ADDRESS"):
            self.limit(name)
        if self.rate_limit_per_key and not self.api_keys:
            raise ValueError("RATE_LIMIT_PER_KEY: needs API_KEYS")

    def verifiers(self) -> list[Webhook]:
        """Return one verifier per webhook secret; with none, unsigned webhooks are accepted. Raises ValueError."""
        secrets = _split_list(self.webhook_secrets)
        expected = "WEBHOOK_SECRETS: expected whsec_ and base64 of 24 to 64 bytes, comma-separated"
        for secret in secrets:
            try:
                size = len(binascii.a2b_base64(secret.removeprefix("whsec_"), strict_mode=True))
            except (binascii.Error, ValueError):
                raise ValueError(expected) from None
            if not 24 <= size <= 64:
                raise ValueError(expected)
        return [Webhook(secret) for secret in secrets]

    def stripe_secrets(self) -> list[str]:
        """Return the secrets of Stripe's webhook; with none, the service does not have it. Raises ValueError."""
        secrets = _split_list(self.stripe_webhook_secrets)
        if not all(STRIPE_SECRET.fullmatch(secret) for secret in secrets):
            raise ValueError("STRIPE_WEBHOOK_SECRETS: expected whsec_ and what Stripe shows behind it, comma-separated")
        return secrets

    def api_key_digests(self) -> dict[str, str]:
        """Return the caller's name by the SHA-256 of each API key; with none, no key is needed. Raises ValueError.

        A caller may have several keys, so that it keeps its holds and orders while a key is rotated.
        """
        matches = [API_KEY.fullmatch(part) for part in _split_list(self.api_keys)]
        digests = {match[2]: match[1] for match in matches if match}
        if len(digests) < len(matches):
            raise ValueError("API_KEYS: expected name:sha256 in hexadecimal, comma-separated, each key once")
        return digests

    def limit(self, name: str) -> RateLimitItem | None:
        """Return the rate limit of this variable, such as 100/second, or None without a limit. Raises ValueError."""
        text = getattr(self, name.lower())
        try:
            return parse(text) if text else None
        except ValueError:
            raise ValueError(f"{name}: expected something like 100/second or 1000/minute") from None

    def proxies(self) -> list[Network]:
        """Return the networks of proxies whose X-Forwarded-For is trusted. Raises ValueError."""
        try:
            return [ip_network(part) for part in _split_list(self.trusted_proxies)]
        except ValueError:
            raise ValueError("TRUSTED_PROXIES: expected addresses or networks, comma-separated") from None


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split_list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def load_environment() -> None:
    """Add the variables of `.env` to the environment, where it lacks them."""
    load_dotenv(ENVIRONMENT_FILE)


def load_settings() -> Settings:
    """Read and check the settings. Raises SettingsError.

    Does not change the environment, so that a reload reads the current `.env`.
    """
    wanted = {field.encode_name for field in msgspec.structs.fields(Settings)}
    variables = {**dotenv_values(ENVIRONMENT_FILE), **os.environ}
    given = {name: value for name, value in variables.items() if name in wanted and value}
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        # "Expected `int`, got `str` - at `$.QUEUE_LIMIT`": the name, never the value, which may hold a password.
        raise SettingsError(f"bad setting: {error}; see .env.example") from None
