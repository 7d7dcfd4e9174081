"""`python -m stack.members`: what script/members runs. It asks script/server, whose processes the members are."""

import argparse
import json
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import mysql.connector

from stack import running
from stack.errors import StackError
from stack.group import Group, Member

SOCKET = "members.sock"
ROW = "{:>6}  {:<15}  {:>7}  {:<9}  {:<10}  {:<9}  {:>9}  {:>5}"
HEADINGS = ("member", "address", "pid", "process", "state", "role", "reachable", "queue")


def _start(member: Member) -> None:
    member.start()
    member.wait_until_online()


def _restart(member: Member) -> None:
    member.stop()
    _start(member)


ACTS_ON_GROUP: dict[str, tuple[Callable[[Group], object], str]] = {
    "show": (lambda _: None, "show every member as it describes itself (the default)"),
    "add": (Group.add, "add a member, a clone of another; it takes the place of a removed one"),
    "form": (Group.start, "restart all members as one group, after the group has lost its majority"),
}
ACTS_ON_MEMBER: dict[str, tuple[Callable[[Group, Member], object], str]] = {
    "stop": (lambda _, member: member.stop(), "shut a member down"),
    "kill": (lambda _, member: member.kill(), "kill a member (SIGKILL)"),
    "freeze": (lambda _, member: member.pause(), "freeze a member (SIGSTOP)"),
    "wake": (lambda _, member: member.resume(), "let a frozen member continue (SIGCONT)"),
    "start": (lambda _, member: _start(member), "start a member that ended, and wait until it is ONLINE"),
    "restart": (lambda _, member: _restart(member), "shut a member down, start it, and wait until it is ONLINE"),
    "promote": (Group.promote, "make a member the primary"),
    "remove": (Group.remove, "shut a member down for good and delete its data"),
}


def describe(group: Group) -> list[dict[str, Any]]:
    """Every member as it describes itself, by the headings of the table."""
    rows = []
    for member in group.members:
        status = member.status()
        process_id = member.process_id if member.is_running() else "-"
        reachable = f"{status.reachable} of {status.members}" if status.members else "-"
        words = (process_id, status.process, status.state or "-", status.role or "-", reachable, int(status.queue))
        values = (member.number, str(member.url.hosts[0]), *words)
        rows.append(dict(zip(HEADINGS, values, strict=True)))
    return rows


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path: Path, group: Group) -> None:
        self.group = group
        self.lock = threading.Lock()
        super().__init__(str(path), _Handler)

    def act(self, name: str, member: str | None) -> list[dict[str, Any]]:
        """Do one thing and return the members afterwards. Raises StackError or mysql.connector.Error."""
        if name != "show":
            with self.lock:
                if name in ACTS_ON_GROUP:
                    ACTS_ON_GROUP[name][0](self.group)
                else:
                    chosen = (
                        self.group.primary() if member == "primary" else self.group.member(int(cast("str", member)))
                    )
                    ACTS_ON_MEMBER[name][0](self.group, chosen)
        return describe(self.group)


class _Handler(socketserver.StreamRequestHandler):
    """One request, the JSON of an act and a member, and its answer: the members, or why it was not done."""

    def handle(self) -> None:
        answer: dict[str, Any]
        try:
            answer = {"members": cast("_Server", self.server).act(*json.loads(self.rfile.readline()))}
        except (StackError, mysql.connector.Error) as error:
            answer = {"error": str(error)}
        self.wfile.write(json.dumps(answer).encode())


@contextmanager
def listening(group: Group, folder: Path) -> Iterator[None]:
    """Do what script/members asks for, as long as the block lasts; the socket is made in a folder."""
    with _Server(folder / SOCKET, group) as server:
        thread = threading.Thread(target=server.serve_forever, name="script/members")
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def ask(act: str, member: str | None = None) -> list[dict[str, Any]]:
    """Have script/server do one thing; returns the members afterwards, as `describe` does. Raises StackError."""
    running.find()
    path = (running.FOLDER / "sockets").readlink() / SOCKET
    if not path.exists():
        raise StackError("script/server runs a single MySQL: start it with --members 3")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(json.dumps([act, member]).encode() + b"\n")
        answer = json.loads(connection.makefile().read())
    if "error" in answer:
        raise StackError(answer["error"])
    members: list[dict[str, Any]] = answer["members"]
    return members


def _member(text: str) -> str:
    if text != "primary" and not text.isdecimal():
        raise argparse.ArgumentTypeError(f"expected the number of a member, or primary, got {text!r}")
    return text


def main() -> None:
    """Do one thing and show the members."""
    parser = argparse.ArgumentParser(
        prog="script/members",
        description="Show and change the members of the group that script/server --members 3 runs.",
    )
    commands = parser.add_subparsers(dest="act", metavar="command")
    for name, (_, text) in ACTS_ON_GROUP.items():
        commands.add_parser(name, help=text, description=text)
    for name, (_, text) in ACTS_ON_MEMBER.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("member", type=_member, help="number of the member, or primary")
    arguments = parser.parse_args()
    try:
        members = ask(arguments.act or "show", getattr(arguments, "member", None))
    except StackError as error:
        sys.exit(f"script/members: {error}")
    for row in (HEADINGS, *(member.values() for member in members)):
        print(ROW.format(*row))


if __name__ == "__main__":
    main()
