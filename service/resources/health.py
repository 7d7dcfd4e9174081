"""Liveness and readiness, for load balancers and monitors."""

import falcon.asgi

from service import __version__
from service.database import SchemaError, check_versions
from service.errors import DatabaseUnavailable, Overloaded, Problem
from service.procedure_client import ProcedureClient
from service.requests import send_json


class LivenessResource:
    """`/healthz`: answers while the process runs."""

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer 200."""
        send_json(resp, {"status": "ok"})

    on_head = on_get


class ReadinessResource:
    """`/readyz`: whether MySQL serves a schema that fits this code; without Redis the service is ready but degraded."""

    def __init__(self, procedures: ProcedureClient) -> None:
        self._procedures = procedures

    async def on_get(self, _req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Answer 200 with the state of Redis and the sweep's lag in seconds, or 503 with what is missing."""
        try:
            health = await self._procedures.get_health(None)
            check_versions(health.schema_version, health.oldest_code)
        except (Overloaded, DatabaseUnavailable):
            raise Problem(
                "not_ready", 503, "MySQL cannot serve; the log names the errno and the reason.", missing="mysql"
            ) from None
        except SchemaError as error:
            raise Problem("not_ready", 503, str(error), missing="schema") from None
        redis = "ok" if await self._procedures.cache.is_available() else "degraded"
        send_json(
            resp,
            {
                "status": "ready" if redis == "ok" else "degraded",
                "version": __version__,
                "mysql": "ok",
                "redis": redis,
                "sweep_lag_s": health.sweep_lag_s,
                "sweep_event": "enabled" if health.is_sweep_enabled else "disabled",
            },
        )

    on_head = on_get
