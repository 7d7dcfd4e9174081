"""`/docs` needs no other server, and its examples work."""

import base64
import os
import re
import subprocess
from collections.abc import Callable

import httpx
import pytest

from service.openapi import EXAMPLES, PATHS
from tests.http.support import Service
from tests.stripe_events import SECRET as STRIPE_SECRET
from tests.stripe_events import SETTINGS as STRIPE_SETTINGS
from tests.support import Session

SHOWN_ADDRESS = "http://127.0.0.1:8000"
SECRET = "whsec_" + base64.b64encode(bytes(24)).decode()


def test_the_page_loads_only_files_that_the_service_has(client: httpx.Client) -> None:
    page = client.get("/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    loaded = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)""", page.text)
    assert len(loaded) == 4
    for address in loaded:
        if address != "data:,":
            assert client.get(address).status_code == 200, address


def test_the_content_security_policy_allows_only_the_service(client: httpx.Client) -> None:
    policy = client.get("/docs").headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    sources = set(re.findall(r"[^;\s]+", re.sub(r"[\w-]+-(?:src|uri|action|ancestors)\b", "", policy)))
    assert {source for source in sources if not source.startswith("'sha256-")} == {
        "'none'",
        "'self'",
        "'unsafe-inline'",
        "data:",
    }


def test_every_operation_has_an_example() -> None:
    names = [
        operation["operationId"]
        for operations in PATHS.values()
        for operation in operations.values()
        if isinstance(operation, dict)
    ]
    assert sorted(EXAMPLES) == sorted(names)


@pytest.fixture(scope="module")
def run(
    start_service: Callable[..., Service], database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], str]:
    """A function that runs a command in a shell, against a new service whose webhooks are signed."""
    service = start_service(WEBHOOK_SECRETS=SECRET, **STRIPE_SETTINGS)
    session = Session(database_url)
    session.create_product(stock=100)
    session.close()
    home = tmp_path_factory.mktemp("home")
    (home / ".curlrc").write_text("fail-with-body\n")  # curl fails on a status of 400 or more
    environment = {
        **os.environ,
        "CURL_HOME": str(home),
        "WEBHOOK_SECRET": SECRET,
        "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
    }

    def paste(command: str) -> str:
        command = command.replace(SHOWN_ADDRESS, service.url)
        done = subprocess.run(["bash", "-e", "-c", command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        assert done.stderr == ""
        return done.stdout

    return paste


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_can_be_pasted_twice(run: Callable[[str], str], name: str) -> None:
    for _ in range(2):
        assert run(EXAMPLES[name])


@pytest.mark.parametrize("name", ["apply_payment", "apply_stripe_event"])
def test_the_payment_of_the_example_pays(run: Callable[[str], str], name: str) -> None:
    assert '"outcome":"applied"' in run(EXAMPLES[name])
