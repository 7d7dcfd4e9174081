"""The service's settings: values that it rejects."""

import pytest

from service.settings import SettingsError, load_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MYSQL_URL", "a secret"),
        ("MYSQL_URL", "http://app:a secret@127.0.0.1/checkout"),
        ("REDIS_URL", ""),
        ("REDIS_URL", "http://:a secret@127.0.0.1"),
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
    ],
)
def test_a_setting_out_of_its_range_is_named_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("MYSQL_URL", "mysql://app@127.0.0.1/checkout")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1")
    load_settings()
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=name) as refused:
        load_settings()
    assert "secret" not in str(refused.value)
