"""Whether the process lives, and whether it can serve."""

import falcon.asgi

from service import __version__
from service.database import SchemaError, check_versions
from service.errors import DatabaseUnavailable, Overloaded, Problem
from service.procedure_client import ProcedureClient
from service.requests import send_json


class LivenessResource:
    """`/healthz`: the process answers."""

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Always 200."""
        send_json(resp, {"status": "ok"})

    on_head = on_get


class ReadinessResource:
    """`/readyz`: MySQL answers with a schema that fits; without Redis the service is degraded, but ready."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """200 with what is degraded and the sweep's lag, or 503 with what is missing."""
        try:
            health = await self._procedures.get_health(None)
            check_versions(health.schema_version, health.oldest_code)
        except (Overloaded, DatabaseUnavailable):
            raise Problem(
                "not_ready", 503, "MySQL cannot serve; the log names the errno and the reason.", missing="mysql"
            ) from None
        except SchemaError as error:
            raise Problem("not_ready", 503, str(error), missing="schema") from None
        redis = "ok" if await self._procedures.cache.ping() else "degraded"
        send_json(
            resp,
            {
                "status": "ready" if redis == "ok" else "degraded",
                "version": __version__,
                "mysql": "ok",
                "redis": redis,
                "sweep_lag_s": health.sweep_lag_s,
            },
        )

    on_head = on_get
