"""`/openapi.json` tells the truth about every call."""

import httpx
import pytest
import schemathesis
from falcon.asgi import App
from falcon.inspect import inspect_routes
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.schemas import APIOperation

from service.app import create_app
from service.errors import ERRORS
from service.openapi import DOCUMENT, PATHS
from service.settings import Settings
from tests.http.support import Service, Shop
from tests.support import Session

OPERATIONS = [result.ok() for result in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()]
ENDLESS = "stream_stock"  # an answer that nobody reads to its end: see test_streams
METHODS = {"get", "post", "put", "patch", "delete"}


def routes(app: App) -> set[tuple[str, str]]:
    """Every path and method that the application answers."""
    return {
        (route.path, method.method.lower())
        for route in inspect_routes(app)
        for method in route.methods
        if not method.internal
    }


def test_every_route_is_described_and_nothing_else() -> None:
    app = create_app(Settings(mysql_url="mysql://nobody@127.0.0.1/x", redis_url="redis://127.0.0.1"))
    described = {(path, method) for path, operations in PATHS.items() for method in METHODS & operations.keys()}
    assert routes(app) == described


def test_every_error_of_http_is_described() -> None:
    text = str(DOCUMENT)
    by_call_only = {30003, 30401, 30402}
    assert {errno for errno in ERRORS if f"({errno})" in text} == ERRORS.keys() - by_call_only


def test_the_service_answers_the_document(client: httpx.Client) -> None:
    response = client.get("/openapi.json")
    assert response.headers["Content-Type"] == "application/json"
    assert response.json()["openapi"] == "3.1.0"


@pytest.fixture(scope="module")
def address(service: Service, database_url: str) -> str:
    """The service, with a product, a hold and an order of id 1 to find."""
    session = Session(database_url)
    session.create_product(stock=1_000_000)
    session.close()
    with service.client() as client:
        Shop(client).ordered(1)
    return service.url


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(
    "operation",
    [operation for operation in OPERATIONS if operation.definition.raw["operationId"] != ENDLESS],
    ids=lambda operation: operation.label,
)
def test_every_answer_is_as_described(address: str, operation: APIOperation, mode: GenerationMode) -> None:
    try:
        cases = operation.as_strategy(generation_mode=mode)

        @hypothesis_settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
        @given(case=cases)
        def check(case: Case) -> None:
            # JSON Schema takes 1.0 for an integer, the service does not.
            assume(not isinstance(case.body, dict) or not any(isinstance(value, float) for value in case.body.values()))
            case.call_and_validate(base_url=address)

        check()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, "an operation without anything to send must still be called"
