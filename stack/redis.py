"""A private Redis server, without persistence."""

import secrets
import socket
from pathlib import Path

from stack.files import write_private
from stack.process import Server, free_port
from stack.programs import Command

REDIS_CONF = """\
# Written at every start.
bind 127.0.0.1
port {port}
unixsocket {socket}
unixsocketperm 700
protected-mode yes
requirepass {password}
dir "{folder}"
save ""
appendonly no
# Keep the path of redis.conf in the command line, by which the next run recognises a leftover server.
set-proc-title no
"""


class RedisServer(Server):
    """A private Redis server; it is empty after every start."""

    def __init__(self, folder: Path, socket_folder: Path, program: Command) -> None:
        """Write the settings; `start` starts the server."""
        folder.mkdir(parents=True, exist_ok=True)
        self._socket = socket_folder / "redis.sock"
        self._password = secrets.token_urlsafe(24)
        settings = REDIS_CONF.format(port=free_port(), socket=self._socket, password=self._password, folder=folder)
        write_private(folder / "redis.conf", settings)
        super().__init__("Redis", [*program, f"{folder}/redis.conf"], folder, log=folder / "redis.log")

    @property
    def url(self) -> str:
        """The URL of the server, including its password, as redis-py parses it."""
        return f"unix://:{self._password}@{self._socket}?db=0"

    def answers(self) -> bool:
        """Whether the server accepts its password."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(self._socket))
                connection.sendall(f"AUTH {self._password}\r\n".encode())
                return connection.recv(3) == b"+OK"
            except OSError:
                return False
