"""The virtual environment `.venv`: made, brought up to date, entered.

`python3 -m stack.virtual_environment requirements.txt -m stack` is `.venv/bin/python -m stack` with all that
requirements.txt asks for. Standard library only: it runs before there is an environment.
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
PYTHON = FOLDER / "bin/python"
OLDEST_PYTHON = (3, 11)


def bring_up_to_date(requirements: Path) -> None:
    """Have in `.venv` what a requirements file asks for; what else was installed there stays."""
    local = PROJECT / ".local"
    local.mkdir(exist_ok=True)
    with packages.locked(local / "venv.lock"):
        if _is_up_to_date(requirements):
            return
        started_at = time.monotonic()
        print(f"Installing {requirements.name} into {FOLDER.name} …", flush=True)
        if not any(_stamp(path).exists() for path in PROJECT.glob("requirements*.txt")) or not _runs_this_python():
            _create()
        for path in _with_included(requirements):
            _stamp(path).unlink(missing_ok=True)
        run([str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "-r", str(requirements)])
        for path in _with_included(requirements):
            _stamp(path).write_text(_fingerprint(path))
        print(f"Installed {requirements.name} in {time.monotonic() - started_at:.1f} s", flush=True)


def _is_up_to_date(requirements: Path) -> bool:
    stamp = _stamp(requirements)
    return PYTHON.exists() and stamp.exists() and stamp.read_text() == _fingerprint(requirements)


def _runs_this_python() -> bool:
    """Whether `.venv` still works and is of the Python that runs this."""
    return PYTHON.exists() and output_of([str(PYTHON), "-c", "import sys; print(sys.version)"]).strip() == sys.version


def _create() -> None:
    """Make `.venv` anew: there is none, its Python is another one by now, or an installation was killed half-way."""
    has_pip = importlib.util.find_spec("ensurepip") is not None
    options = ["--clear"] if has_pip else ["--clear", "--without-pip"]
    output_of([sys.executable, "-m", "venv", *options, str(FOLDER)])
    if not has_pip:  # Debian without python3-venv
        wheel = next((packages.unpacked(["python3-pip-whl"]) / "usr/share/python-wheels").glob("pip-*.whl"))
        output_of([str(PYTHON), f"{wheel}/pip", "install", "--no-index", "--no-deps", str(wheel)])


def _stamp(requirements: Path) -> Path:
    """The file that says what has been installed completely."""
    return FOLDER / f"{requirements.name}.installed"


def _fingerprint(requirements: Path) -> str:
    texts = [sys.version, *(path.read_text() for path in _with_included(requirements))]
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def _with_included(requirements: Path) -> list[Path]:
    """A requirements file and those that it includes with -r."""
    files = [requirements]
    for line in requirements.read_text().splitlines():
        if line.startswith("-r "):
            files += _with_included(requirements.parent / line.removeprefix("-r ").strip())
    return files


def main() -> None:
    """Bring `.venv` up to date with the first argument, then become its Python with the others."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    requirements, *arguments = sys.argv[1:]
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed, python3 is {sys.version.split()[0]}")
    try:
        bring_up_to_date(PROJECT / requirements)
    except StackError as error:
        sys.exit(f"cannot prepare {FOLDER.name}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    os.execv(PYTHON, [str(PYTHON), *arguments])  # noqa: S606 the point: same process, so signals reach it


if __name__ == "__main__":
    main()
