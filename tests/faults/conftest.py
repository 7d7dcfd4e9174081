"""The sweep runs in the databases of fault tests, as in production."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _sweep(sweep_every_second: None) -> None:
    """Sweep every second."""
