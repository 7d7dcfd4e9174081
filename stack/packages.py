"""Downloads signed Debian packages and unpacks them into a cache folder. It needs no root and installs nothing.

apt resolves the dependencies and verifies the signatures. It uses folders of its own, the machine's mirror and keyring,
and an empty list of installed packages, so that it downloads all dependencies, libc included.

This module uses the standard library only, because creating the virtual environment may need a package.
"""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stack.errors import StackError
from stack.process import output_of

SUITE = "sid"  # the only suite with the current MySQL

APT_CONF = """\
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Cache::archives "{folder}/cache/archives";
APT::Install-Recommends "false";
APT::Update::Error-Mode "any";
Acquire::Retries "3";
# As root, apt would switch to the user _apt, which cannot read a home folder. Other users are not affected.
APT::Sandbox::User "root";
"""


def apt_is_available() -> bool:
    """Whether this machine has the programs that download and unpack Debian packages."""
    return all(shutil.which(program) for program in ("apt-get", "dpkg-deb"))


def unpacked(packages: Sequence[str]) -> Path:
    """Return a folder with these packages and their dependencies; they are downloaded unless the cache has them.

    Several processes may call this at once: one downloads, the others wait. A folder gets its name only when it is
    complete, so a crash leaves no incomplete one. Remove the folder to get newer packages. Raises StackError.
    """
    cache = _cache_folder()
    folder = cache / "+".join(packages)
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{folder.name}.lock"):
            if not folder.is_dir():
                _download_and_unpack(packages, folder)
    return folder


def command(packages: Sequence[str], program: str) -> list[str]:
    """Return the command that runs a program of these packages with the loader and libraries of the same packages."""
    folder = unpacked(packages)
    loader = next(folder.glob("usr/lib/*/ld-linux*.so.*"))
    # Some packages have libraries in a subfolder.
    libraries = [loader.parent, *sorted({library.parent for library in loader.parent.glob("*/lib*.so*")})]
    return [str(loader), "--library-path", ":".join(map(str, libraries)), str(folder / program)]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for the lock on a file and hold it during the block. The kernel releases it if the process dies."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another process that holds {path} …", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "flash-sale-checkout"


def _download_and_unpack(packages: Sequence[str], folder: Path) -> None:
    for leftover in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(leftover)
    print(f"Downloading {', '.join(packages)} from Debian {SUITE} …", flush=True)
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.partial-", dir=folder.parent) as work:
        archives = _download(packages, Path(work))
        _unpack(archives, Path(work, "root")).rename(folder)
    print(f"Downloaded and unpacked {len(archives)} packages in {time.monotonic() - started_at:.1f} s", flush=True)


def _unpack(archives: Sequence[Path], folder: Path) -> Path:
    for archive in archives:
        output_of(["dpkg-deb", "--extract", str(archive), str(folder)])
    return folder


def _download(packages: Sequence[str], work: Path) -> list[Path]:
    """Download packages and their dependencies from the machine's mirror, verified with the machine's keyring."""
    mirror, release = _mirror_and_release()
    try:
        return _Apt(work / "apt", mirror, SUITE).download(packages)
    except StackError as error:
        if "NO_PUBKEY" not in str(error) and "Missing key" not in str(error):
            raise
    # The machine's keyring is older than the key that signs the suite. Debian adds new keys to the keyring package of
    # older releases too, and the machine's keyring can verify the packages of its own release.
    print(f"This machine's keyring lacks the key of {SUITE}: downloading one from {release} …", flush=True)
    archives = _Apt(work / "apt-keyring", mirror, release).download(["debian-archive-keyring"])
    keyring = _unpack(archives, work / "keyring") / "usr/share/keyrings/debian-archive-keyring.gpg"
    return _Apt(work / "apt-again", mirror, SUITE, keyring).download(packages)


def _mirror_and_release() -> tuple[str, str]:
    """Return the address and the release of the first full archive among the sources of this machine's apt.

    `apt-get indextargets` is meant for this, but lists nothing before the first `apt-get update`.
    """
    addresses = output_of(["apt-get", "update", "--print-uris"])
    archive = re.search(r"^'(\S+)/dists/([^/-]+)/main/binary-", addresses, re.MULTILINE)  # no bookworm-updates
    if archive is None:
        raise StackError("the sources of apt contain no Debian archive: add one")
    return archive[1], archive[2]


class _Apt:
    """apt-get for one suite of one mirror, with folders of its own."""

    def __init__(self, folder: Path, mirror: str, suite: str, keyring: Path | None = None) -> None:
        for path in ("lists/partial", "cache/archives/partial"):
            Path(folder, path).mkdir(parents=True)
        trust = f"[signed-by={keyring}] " if keyring else ""
        Path(folder, "sources.list").write_text(f"deb {trust}{mirror} {suite} main\n")
        Path(folder, "status").touch()
        # apt reads this file last, so it overrides the machine's settings; others, such as proxies, stay in effect.
        Path(folder, "apt.conf").write_text(APT_CONF.format(folder=folder))
        self._folder = folder

    def download(self, packages: Sequence[str]) -> list[Path]:
        """Download packages and all of their dependencies."""
        self._run("update")
        self._run("install", "--yes", "--download-only", *packages)
        return sorted(self._folder.glob("cache/archives/*.deb"))

    def _run(self, *arguments: str) -> None:
        output_of(["apt-get", f"--config-file={self._folder}/apt.conf", *arguments])
