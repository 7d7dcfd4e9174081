"""The sweep runs every second in the databases of fault tests, as in production."""

from contextlib import closing

import pytest

from service.deploy import OWNER
from tests.support import Session


@pytest.fixture(scope="module", autouse=True)
def _sweep(database_url: str) -> None:
    with closing(Session(database_url)) as session:
        session.execute(f"ALTER DEFINER = {OWNER} EVENT sweep_due ENABLE")
