"""`/openapi.json` describes the routes and responses of the service."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from falcon.asgi import App
from falcon.inspect import inspect_routes

from service.app import create_app
from service.errors import ERRORS
from service.openapi import DOCUMENT, PATHS, STRIPE_PATH
from service.settings import Settings
from tests.http.support import Service, Shop
from tests.support import Session

CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
METHODS = {"get", "post", "put", "patch", "delete"}


def routes(app: App) -> set[tuple[str, str]]:
    """All paths and methods of the application; HEAD is implied by GET."""
    return {
        (route.path, method.method.lower())
        for route in inspect_routes(app)
        for method in route.methods
        if method.method.lower() in METHODS and not method.internal
    }


def test_the_document_describes_exactly_the_routes() -> None:
    stripe = {"stripe_webhook_secrets": "whsec_1", "stripe_currency": "EUR"}
    app = create_app(Settings(mysql_url="mysql://nobody@127.0.0.1/x", redis_url="redis://127.0.0.1", **stripe))
    described = {(path, method) for path, operations in PATHS.items() for method in METHODS & operations.keys()}
    assert routes(app) == described


def test_the_document_describes_every_error_that_http_can_have() -> None:
    text = str(DOCUMENT)
    by_call_only = {30003, 30401, 30402, 30403, 30502, 30503}
    assert {errno for errno in ERRORS if f"({errno})" in text} == ERRORS.keys() - by_call_only


def test_the_service_serves_the_document_of_the_paths_that_it_has(client: httpx.Client) -> None:
    response = client.get("/openapi.json")
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["openapi"] == "3.1.0"
    assert response.json()["paths"].keys() == PATHS.keys() - {STRIPE_PATH}
    assert client.post(STRIPE_PATH, json={}).status_code == 404


@pytest.fixture(scope="module")
def address(service: Service, database_url: str) -> str:
    """The URL of a service whose product, hold and order of id 1 exist."""
    session = Session(database_url)
    session.create_product(stock=1_000_000)
    session.close()
    with service.client() as client:
        Shop(client).ordered(1)
    return service.url


@pytest.mark.timeout(300)
def test_schemathesis_finds_no_contradiction(address: str, tmp_path: Path) -> None:
    """Examples, boundary values, random requests and sequences of them, valid and not."""
    program = Path(sys.executable).with_name("schemathesis")
    command = [str(program), "--config-file", str(CONFIGURATION), "run", f"{address}/openapi.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
