"""The revisions whose service is measured: the working tree, and another commit in a git worktree of its own."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stack import virtual_environment
from stack.errors import StackError
from stack.process import output_of, run
from stack.servers import PROJECT

SHORT_HASH = 8


@dataclass(frozen=True)
class Revision:
    """One revision of the project: its files in `folder`, and a Python with the packages that its service needs.

    Its programs are started in `folder`, so that Python imports the modules of the revision.
    """

    name: str
    folder: Path
    python: Path

    def deploy(self, url: str) -> None:
        """Run the revision's `service.deploy` on the database of an administrator's URL; raises StackError."""
        environment = {**os.environ, "MYSQL_URL": url}
        run([str(self.python), "-m", "service.deploy"], environment=environment, working_directory=self.folder)


WORKING_TREE = Revision("working tree", PROJECT, Path(sys.executable))


def find_commit(name: str) -> str:
    """Return the full hash of the commit that git finds by a name (branch, tag, hash, …); raises StackError."""
    if shutil.which("git") is None:
        raise StackError("--against needs git")
    try:
        top, is_shallow = _git("rev-parse", "--show-toplevel", "--is-shallow-repository").splitlines()
    except StackError as error:
        raise StackError(f"--against needs a clone of the project with its history: {error}") from None
    if Path(top).resolve() != PROJECT:
        raise StackError(f"--against needs a clone of the project with its history: {PROJECT} is a folder within {top}")
    try:
        return _git("rev-parse", "--verify", "--end-of-options", f"{name}^{{commit}}").strip()
    except StackError:
        hint = ", which is shallow: git fetch --unshallow may help" if is_shallow == "true" else ""
        raise StackError(f"{name} names no commit of this clone{hint}") from None


@contextmanager
def checked_out(commit: str, folder: Path) -> Iterator[Revision]:
    """Check a commit out into a git worktree below `folder`, removed at the end of the block; raises StackError.

    If its requirements.txt is the same as that of the working tree, its service runs in the virtual environment of this
    process. Otherwise it runs in one of its own, which is kept for the next run.
    """
    worktree = folder / "against"
    if worktree.exists():  # a killed run has left it
        shutil.rmtree(worktree)
    name = commit[:SHORT_HASH]
    print(f"Checking out {name} into {worktree} …", flush=True)
    _git("worktree", "add", "--quiet", "--detach", "--force", str(worktree), commit)
    try:
        yield Revision(name, worktree, _python_for(worktree / "requirements.txt"))
    finally:
        _git("worktree", "remove", "--force", str(worktree))


def _python_for(requirements: Path) -> Path:
    fingerprint = virtual_environment.fingerprint(requirements)
    if fingerprint == virtual_environment.fingerprint(PROJECT / requirements.name):
        print("It needs the same packages, so both revisions run in the same virtual environment", flush=True)
        return WORKING_TREE.python
    folder = PROJECT / ".local" / f"venv-{fingerprint[:SHORT_HASH]}"
    print(f"It needs other packages, so it runs in {folder}", flush=True)
    return virtual_environment.bring_up_to_date(requirements, folder)


def _git(*arguments: str) -> str:
    return output_of(["git", "-C", str(PROJECT), *arguments])
