"""Creates virtual environments and keeps them up to date.

`python3 -m stack.virtual_environment requirements.txt -m stack` installs requirements.txt into the project's own
environment, `.venv`, if necessary, and then runs `.venv/bin/python -m stack`.

This module uses the standard library only, because it runs before any package is installed.
"""

import hashlib
import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

from stack import packages
from stack.errors import StackError
from stack.process import output_of, run

PROJECT = Path(__file__).resolve().parent.parent
FOLDER = PROJECT / ".venv"
OLDEST_PYTHON = (3, 11)


def bring_up_to_date(requirements: Path, folder: Path = FOLDER) -> Path:
    """Install a requirements file into the environment of a folder, and return its Python; raises StackError.

    The environment is created if there is none. Packages of other requirements files stay installed.
    """
    python = folder / "bin/python"
    local = PROJECT / ".local"
    local.mkdir(exist_ok=True)
    with packages.locked(local / "venv.lock"):
        if _is_up_to_date(requirements, folder):
            return python
        started_at = time.monotonic()
        print(f"Installing {requirements.name} into {folder.name} …", flush=True)
        if not any(folder.glob("*.installed")) or not _runs_this_python(python):
            _create(folder)
        for path in _with_included(requirements):
            _stamp(path, folder).unlink(missing_ok=True)
        run([str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(requirements)])
        for path in _with_included(requirements):
            _stamp(path, folder).write_text(fingerprint(path))
        print(f"Installed {requirements.name} in {time.monotonic() - started_at:.1f} s", flush=True)
    return python


def _is_up_to_date(requirements: Path, folder: Path) -> bool:
    stamp = _stamp(requirements, folder)
    return (folder / "bin/python").exists() and stamp.exists() and stamp.read_text() == fingerprint(requirements)


def _runs_this_python(python: Path) -> bool:
    """Whether an environment has a Python of the version that runs this program; raises StackError if it fails."""
    return python.exists() and output_of([str(python), "-c", "import sys; print(sys.version)"]).strip() == sys.version


def _create(folder: Path) -> None:
    """Create an environment, replacing one with another Python or one whose installation was interrupted."""
    has_pip = importlib.util.find_spec("ensurepip") is not None
    options = ["--clear"] if has_pip else ["--clear", "--without-pip"]
    output_of([sys.executable, "-m", "venv", *options, str(folder)])
    if not has_pip:  # the Debian package python3-venv is missing
        wheel = next((packages.unpacked(["python3-pip-whl"]) / "usr/share/python-wheels").glob("pip-*.whl"))
        output_of([f"{folder}/bin/python", f"{wheel}/pip", "install", "--no-index", "--no-deps", str(wheel)])


def _stamp(requirements: Path, folder: Path) -> Path:
    """The file that records, after a complete installation, the fingerprint of what was installed."""
    return folder / f"{requirements.name}.installed"


def fingerprint(requirements: Path) -> str:
    """Return a hash of a requirements file, the files that it includes, and the version of Python."""
    texts = [sys.version, *(path.read_text() for path in _with_included(requirements))]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _with_included(requirements: Path) -> list[Path]:
    """Return a requirements file and those that it includes with -r."""
    files = [requirements]
    for line in requirements.read_text().splitlines():
        if line.startswith("-r "):
            files += _with_included(requirements.parent / line.removeprefix("-r ").strip())
    return files


def main() -> None:
    """Install the first argument into `.venv`, then replace this process by its Python with the other arguments."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    requirements, *arguments = sys.argv[1:]
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed, python3 is {sys.version.split()[0]}")
    try:
        python = bring_up_to_date(PROJECT / requirements)
    except StackError as error:
        sys.exit(f"cannot prepare {FOLDER.name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    os.execv(python, [str(python), *arguments])  # noqa: S606 the process stays the same, so signals reach it


if __name__ == "__main__":
    main()
