"""A service that must refuse to start."""

import os
import subprocess
from collections.abc import Callable

import pytest

from stack.gunicorn import COMMAND
from stack.process import free_port
from stack.servers import PROJECT
from tests.support import PASSWORDS


@pytest.fixture
def refusal(app_url: str, redis_url: str) -> Callable[..., str]:
    """A function that starts a service that must refuse to start; returns its output, which must show no secret."""

    def start(*arguments: str, descriptors: tuple[int, ...] = (), **settings: str) -> str:
        environment = {
            **os.environ,
            "MYSQL_URL": app_url,
            "REDIS_URL": redis_url,
            "PORT": str(free_port()),
            **settings,
        }
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=environment,
            cwd=PROJECT,
            pass_fds=descriptors,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        said = done.stdout + done.stderr
        assert done.returncode != 0, said
        assert "Traceback" not in said
        assert "Booting worker" not in said
        assert PASSWORDS["checkout_app"] not in said
        assert "secret" not in said
        return said

    return start
