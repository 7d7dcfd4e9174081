"""A stack as `script/server` runs it, in a copy of the project."""

from collections.abc import Iterator

import pytest

from tests.copies import Copy

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"


@pytest.fixture(scope="package")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """The running copy; its webhooks are signed."""
    fresh = Copy(tmp_path_factory.mktemp("copy"))
    (fresh.folder / ".env").write_text(f"WEBHOOK_SECRETS={SECRET}\n")
    fresh.start()
    yield fresh
    fresh.stop()
