"""A copy of the project whose stack runs."""

from collections.abc import Iterator

import pytest

from tests.project_copy import Copy, running_copy


@pytest.fixture(scope="package")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    """A copy of the project whose stack runs, shared by the tests of this folder."""
    with running_copy(tmp_path_factory.mktemp("copy")) as running:
        yield running
