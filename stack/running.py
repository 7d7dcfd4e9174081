"""The stack that script/server runs in this clone."""

from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from stack.errors import StackError
from stack.servers import PROJECT

FOLDER = PROJECT / ".local" / "server"


@dataclass(frozen=True)
class RunningStack:
    """The URLs of the running service, and of its MySQL with the account checkout_dba."""

    service_url: str
    mysql_url: str


def find() -> RunningStack:
    """Return the running stack; raises StackError if none runs."""
    lock, file = FOLDER / "lock", FOLDER / "operator.env"
    process = lock.read_text() if lock.exists() else ""
    if not process or not Path(f"/proc/{process}").exists() or not file.exists():
        raise StackError("nothing runs in this clone: start script/server in another terminal first")
    values = dotenv_values(file)
    return RunningStack(str(values["SERVICE_URL"]), str(values["MYSQL_URL"]))
