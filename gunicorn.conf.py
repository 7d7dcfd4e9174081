"""gunicorn's settings; `.env.example` explains the variables. Hooks are in `service/gunicorn_hooks.py`."""

import math

from service.gunicorn_hooks import (
    MEMORY_FOLDER,
    activate_settings,
    child_exit,
    make_metrics_folder,
    on_exit,
    on_reload,
    on_starting,
    post_worker_init,
    when_ready,
    worker_connection_limit,
)

__all__ = ["child_exit", "on_exit", "on_reload", "on_starting", "post_worker_init", "when_ready"]

settings = activate_settings()
make_metrics_folder()

bind = f"[{settings.host}]:{settings.port}" if ":" in settings.host else f"{settings.host}:{settings.port}"
workers = settings.web_concurrency
worker_class = "service.gunicorn_worker.Worker"
worker_connections = worker_connection_limit()
worker_tmp_dir = MEMORY_FOLDER  # of the workers' heartbeats, which must not wait for a disk
backlog = 4096  # connections that the kernel accepts for a busy worker; it drops those beyond
keepalive = 75  # seconds
graceful_timeout = math.ceil(settings.request_deadline_s) + 8  # seconds
control_socket_disable = True
