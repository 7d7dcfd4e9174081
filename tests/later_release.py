"""A later release of the procedures that workers and cron call, with one more column and one more result set."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from docs.generate.accounts import procedures_of
from service import deploy as service_deploy
from service.deploy import deploy

# A SELECT that returns rows, up to its FROM or its end; a SELECT … INTO does not match.
ANSWER = re.compile(r"^((?: {4}){1,2})(SELECT\b(?:(?!\bINTO\b|;).)*?)(?=\n\1FROM\b| FROM \w+;|;)", re.M | re.S)
CHANGED = {*procedures_of("checkout_app"), *procedures_of("checkout_cron"), "read_touched"}


@contextmanager
def later_release(database_url: str, folder: Path) -> Iterator[None]:
    """Deploy the later release from an empty folder, and this release again with the end of the block."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name in ("migrations", "sql"):
                shutil.copytree(service_deploy.ROOT / name, folder / name)
            for name in CHANGED:
                path = folder / "sql" / "procedures" / f"{name}.sql"
                path.write_text(lengthen(path.read_text()))
            patch.setattr(service_deploy, "ROOT", folder)
            assert f" {len(CHANGED)} routines, views and events installed" in deploy(database_url)
            yield
    finally:
        deploy(database_url)


def lengthen(text: str) -> str:
    """The text of a procedure with one more column in each result set, and one more result set."""
    longer, answers = ANSWER.subn(r"\1\2\n, 'later' AS later", text)
    assert answers, text
    return re.sub(r"\nEND\n$", "\n    SELECT 'later' AS later;\nEND\n", longer)
