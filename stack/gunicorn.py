"""gunicorn with the service, or with another application that uses the service's gunicorn.conf.py."""

import http.client
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from stack.process import Server, children
from stack.servers import PROJECT

COMMAND = (sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py", "service.app:create_app()")
RESPONSE_TIMEOUT_S = 2


class GunicornServer(Server):
    """A master of gunicorn and its workers, which end when this process dies."""

    def __init__(
        self,
        name: str,
        folder: Path,
        address: tuple[str, int],
        environment: Mapping[str, str],
        *,
        command: Sequence[str] = COMMAND,
        log: Path | None = None,
        working_directory: Path = PROJECT,
    ) -> None:
        """Prepare the server. `address` is where the service listens according to the environment or `.env`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._host, self._port = address
        self.url = f"http://[{self._host}]:{self._port}" if ":" in self._host else f"http://{self._host}:{self._port}"
        super().__init__(
            name,
            [*command, "--name", f"{folder}/"],
            folder,
            log=log,
            environment=environment,
            working_directory=working_directory,
            death_signal=signal.SIGTERM,  # lets the master end its workers, which SIGKILL would leave behind
        )

    def answers(self) -> bool:
        """Whether GET /readyz returns 200."""
        return self.status_of("/readyz") == http.HTTPStatus.OK

    def status_of(self, path: str) -> int | None:
        """Return the status of a GET, or None without a response; a failed start reports the last one."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=RESPONSE_TIMEOUT_S)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            self._last_answer = f"GET {path} gave {response.status} {response.read().decode(errors='replace')}"
            return response.status
        except (OSError, http.client.HTTPException) as error:
            self._last_answer = f"GET {path} gave {error!r}"
            return None
        finally:
            connection.close()

    def workers(self) -> set[int]:
        """The process ids of the workers; none before the start."""
        return children(self.process_id) if self.process_id else set()
