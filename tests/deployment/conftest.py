"""nginx in front of a service."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.deployment.nginx import Nginx
from tests.http.support import Service


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-signed certificate and its key, named as in the example configuration."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-subj", "/CN=shop.example", "-days", "2"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def start_nginx(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Nginx]]:
    """A function that starts nginx with the example configuration, changed if asked, in front of a service."""
    started: list[Nginx] = []

    def start(service: Service, **changes: str) -> Nginx:
        nginx = Nginx(tmp_path_factory.mktemp("nginx"), certificate, service.url, **changes)
        started.append(nginx)
        nginx.start()
        return nginx

    yield start
    for nginx in started:
        nginx.stop()
