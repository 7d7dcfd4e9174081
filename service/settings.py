"""What the service is told from outside: the environment, and `.env` for what the environment leaves out."""

import binascii
import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from dotenv import load_dotenv
from msgspec import Meta
from standardwebhooks import Webhook

ENVIRONMENT_FILE = Path(__file__).resolve().parent.parent / ".env"


class SettingsError(Exception):
    """A setting that is missing or cannot be used; the message names it and says what is expected."""


class Settings(msgspec.Struct, frozen=True, rename=str.upper):
    """The service's settings, under the same names in capitals in the environment. `.env.example` explains each."""

    mysql_url: Annotated[str, Meta(pattern=r"^mysql://")]
    redis_url: Annotated[str, Meta(pattern=r"^(redis|rediss|unix)://")]
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 8000
    web_concurrency: Annotated[int, Meta(ge=1, le=1024)] = os.cpu_count() or 1
    queue_limit: Annotated[int, Meta(ge=1, le=1_000_000)] = 8192
    batch_limit: Annotated[int, Meta(ge=1, le=1000)] = 256
    request_deadline_s: Annotated[float, Meta(gt=0, le=60)] = 2.0
    webhook_secrets: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be used; the messages quote no URL, password or secret."""
        for name, url in (("MYSQL_URL", self.mysql_url), ("REDIS_URL", self.redis_url)):
            try:
                urlsplit(url).port  # noqa: B018 reading it is the check
            except ValueError:
                raise ValueError(f"{name} is no URL; percent-encode the password") from None
        if not (self.verifiers() or self.is_on_loopback):
            raise ValueError("WEBHOOK_SECRETS: give at least one; unsigned webhooks are taken on a loopback HOST only")

    @property
    def is_on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def verifiers(self) -> list[Webhook]:
        """One verifier a webhook secret, in the order given; none: unsigned webhooks are taken. Raises ValueError."""
        secrets = [secret.strip() for secret in self.webhook_secrets.split(",") if secret.strip()]
        expected = "WEBHOOK_SECRETS: expected whsec_ and base64 of 24 to 64 bytes, comma-separated"
        for secret in secrets:
            try:
                size = len(binascii.a2b_base64(secret.removeprefix("whsec_"), strict_mode=True))
            except (binascii.Error, ValueError):
                raise ValueError(expected) from None
            if not 24 <= size <= 64:
                raise ValueError(expected)
        return [Webhook(secret) for secret in secrets]


def load_environment() -> None:
    """Add to the environment what `.env` says and the environment does not."""
    load_dotenv(ENVIRONMENT_FILE)


def load_settings() -> Settings:
    """Read and check the settings; raises SettingsError."""
    load_environment()
    wanted = {field.encode_name for field in msgspec.structs.fields(Settings)}
    given = {name: value for name, value in os.environ.items() if name in wanted and value}
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        # "Expected `int`, got `str` - at `$.QUEUE_LIMIT`": the name, never the value, which may hold a password.
        raise SettingsError(f"bad setting: {error}; see .env.example") from None
