"""nginx with the project's example configuration."""

import os
import re
from pathlib import Path
from signal import SIGHUP

import httpx

from stack.process import Server, free_port
from stack.servers import PROJECT
from tests.deployment.programs import find
from tests.support import PATIENCE_S

EXAMPLE = PROJECT / "deployment" / "nginx" / "checkout.conf"
INSIDE, OUTSIDE = "127.0.0.1", "127.0.0.2"  # addresses of clients; the second is nobody's whom the example lets in

# What Debian's nginx.conf contains, with paths in the test's folder.
MAIN = """\
{user}
worker_processes 2;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 10000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/checkout.conf;
}}
"""


class Nginx(Server):
    """nginx in front of a service, with the example configuration except for ports and paths."""

    def __init__(self, folder: Path, certificate: Path, service_url: str, **changes: str) -> None:
        """Write the configuration; `changes` are directives and their new values."""
        self.port, self.plain_port = free_port(), free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self.configuration = folder / "checkout.conf"
        text = EXAMPLE.read_text()
        for old, new in {
            "127.0.0.1:8000": service_url.removeprefix("http://"),
            "listen 443": f"listen 127.0.0.1:{self.port}",
            "listen [::]:443": f"listen [::1]:{self.port}",
            "listen 80": f"listen 127.0.0.1:{self.plain_port}",
            "listen [::]:80": f"listen [::1]:{self.plain_port}",
            "/etc/ssl/checkout": str(certificate),
        }.items():
            assert old in text
            text = text.replace(old, new)
        for name, value in changes.items():
            text, number = re.subn(rf"^(\s*{name}) .*;$", rf"\1 {value};", text, flags=re.M)
            assert number
        self.configuration.write_text(text)
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder, user=user))
        command = find("nginx", "nginx-light", "usr/sbin/nginx")
        arguments = ["-p", str(folder), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/error.log", "-g", "daemon off;"]
        super().__init__("nginx", [*command, *arguments], folder, log=folder / "error.log")

    def client(self, address: str = OUTSIDE) -> httpx.Client:
        """A client that connects from the given address of this machine."""
        transport = httpx.HTTPTransport(verify=False, local_address=address)
        return httpx.Client(base_url=self.url, transport=transport, timeout=PATIENCE_S)

    def reload(self) -> None:
        """Read the configuration again, as `nginx -s reload` would."""
        self._signal(SIGHUP)

    def answers(self) -> bool:
        """Whether nginx and the service behind it serve."""
        try:
            with self.client() as client:
                return client.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False
