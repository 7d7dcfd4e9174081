"""Fixtures of fault tests: the sweep runs as in production, and the service has time for retries."""

from collections.abc import Callable

import pytest

from tests.http.support import Service


@pytest.fixture(scope="module", autouse=True)
def _sweep(sweep_every_second: None) -> None:
    """Sweep every second."""


@pytest.fixture(scope="module")
def service(start_service: Callable[..., Service]) -> Service:
    """A service with a deadline that retries meet on a slow machine, too."""
    return start_service(REQUEST_DEADLINE_S="10")
