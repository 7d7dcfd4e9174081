"""gunicorn's worker class: uvicorn with the connections of `http_connections`."""

import math
import signal
import sys
from types import FrameType
from typing import Any, ClassVar

from uvicorn_worker import UvicornWorker

from service.gunicorn_hooks import active_settings
from service.http_connections import HttpConnection


class Worker(UvicornWorker):  # type: ignore[misc] # gunicorn has no type hints
    """A worker process."""

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        "http": HttpConnection,
        "ws": "none",
        "loop": "uvloop",
        "lifespan": "on",
        "server_header": False,
        "proxy_headers": False,  # the service reads them itself, see TRUSTED_PROXIES
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.config.limit_concurrency = self.cfg.worker_connections
        self.config.timeout_graceful_shutdown = math.ceil(active_settings().request_deadline_s) + 1

    def init_signals(self) -> None:
        """Exit at a signal before the service listens. Then uvicorn handles both: it stops, and repeats the signal."""
        super().init_signals()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.handle_exit)

    def handle_exit(self, signal_number: int, _frame: FrameType | None) -> None:
        """Exit; at SIGQUIT, which the master sends if it was interrupted, stop as at SIGTERM."""
        if signal_number != signal.SIGQUIT:
            sys.exit(0)
        signal.raise_signal(signal.SIGTERM)
