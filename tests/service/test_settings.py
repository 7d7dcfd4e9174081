"""The service's settings: invalid values are refused by name, and no secret is in the message."""

import pytest

from service.errors import SettingsError
from service.settings import load_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MYSQL_URL", ""),
        ("MYSQL_URL", "a secret"),
        ("MYSQL_URL", "http://app:a secret@127.0.0.1/checkout"),
        ("MYSQL_URL", "postgresql://app:a secret@127.0.0.1/checkout"),
        ("MYSQL_URL", "mysql://app:a secret@127.0.0.1:port/checkout"),
        ("REDIS_URL", ""),
        ("REDIS_URL", "http://:a secret@127.0.0.1"),
        ("REDIS_URL", "redis://:a secret@127.0.0.1:port/0"),
        ("PORT", "abc"),
        ("PORT", "0"),
        ("PORT", "70000"),
        ("WEB_CONCURRENCY", "0"),
        ("WEB_CONCURRENCY", "two"),
        ("BATCH_LIMIT", "0"),
        ("BATCH_LIMIT", "1001"),
        ("QUEUE_LIMIT", "-1"),
        ("QUEUE_LIMIT", "1.5"),
        ("REQUEST_DEADLINE_S", "0"),
        ("REQUEST_DEADLINE_S", "61"),
        ("REQUEST_DEADLINE_S", "nan"),
        ("REQUEST_DEADLINE_S", "soon"),
        ("WEBHOOK_SECRETS", "whsec_MfKQ"),
        ("WEBHOOK_SECRETS", "whsec_a secret"),
        ("WEBHOOK_SECRETS", ","),
        ("STRIPE_WEBHOOK_SECRETS", "sk_a_secret"),
        ("STRIPE_WEBHOOK_SECRETS", "whsec_,whsec_a_secret"),
        ("STRIPE_WEBHOOK_SECRETS", ","),
        ("STRIPE_CURRENCY", "euro"),
        ("API_KEYS", "shop:a secret"),
        ("API_KEYS", ","),
        ("API_KEYS", f"shop:{'0' * 64},app:{'0' * 64}"),
        ("RATE_LIMIT_PER_KEY", "100/second"),  # without API_KEYS
        ("RATE_LIMIT_PER_ADDRESS", "often"),
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("PATH_PREFIX", "shop"),
    ],
)
def test_an_invalid_setting_is_named_and_its_value_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("MYSQL_URL", "mysql://app@127.0.0.1/checkout")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1")
    monkeypatch.setenv("STRIPE_CURRENCY", "eur")
    load_settings()
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refused:
        load_settings()
    assert "secret" not in str(refused.value)


def test_the_webhook_of_stripe_needs_the_currency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYSQL_URL", "mysql://app@127.0.0.1/checkout")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1")
    monkeypatch.setenv("STRIPE_WEBHOOK_SECRETS", "whsec_a_secret, whsec_another_secret")
    with pytest.raises(SettingsError, match="STRIPE_CURRENCY"):
        load_settings()
