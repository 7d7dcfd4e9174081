"""A stack as `script/server` runs it, in a copy of the project."""

from collections.abc import Iterator
from hashlib import sha256

import pytest

from tests.copies import Copy

SECRET = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"
API_KEY = "the shop's key"


@pytest.fixture(scope="package")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """The running copy; its webhooks are signed, and shop calls need a key."""
    fresh = Copy(tmp_path_factory.mktemp("copy"))
    digest = sha256(API_KEY.encode()).hexdigest()
    (fresh.folder / ".env").write_text(f'WEBHOOK_SECRETS={SECRET}\nAPI_KEYS=shop:{digest}\nAPI_KEY="{API_KEY}"\n')
    fresh.start()
    yield fresh
    fresh.stop()
