"""Signed Debian packages, fetched and unpacked into a cache folder by any user, installing nothing.

apt resolves and verifies: it gets folders of its own, an empty list of installed packages (so that it fetches the
whole closure, libc included), and the machine's own mirror and keyring. Standard library only: the virtual
environment may need a package before it exists.
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

SUITE = "sid"  # the one suite that has the current MySQL

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
# Run by root, apt would become _apt, which cannot enter a home folder; run by others it stays who it is.
APT::Sandbox::User "root";
"""


def apt_is_available() -> bool:
    """Whether this machine can fetch Debian packages."""
    return all(shutil.which(program) for program in ("apt-get", "dpkg-deb"))


def unpacked(packages: Sequence[str]) -> Path:
    """A folder with these packages and all they need, fetched unless this user's cache has it.

    Safe beside other processes and after a crash: one fetches at a time, and a folder gets its name only when it
    is complete. Remove the folder to fetch newer packages.
    """
    cache = _cache_folder()
    folder = cache / "+".join(packages)
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        with locked(cache / f"{folder.name}.lock"):
            if not folder.is_dir():
                _fetch_and_unpack(packages, folder)
    return folder


def command(packages: Sequence[str], program: str) -> list[str]:
    """How to run a program of some packages, with the loader and the libraries that came with it."""
    folder = unpacked(packages)
    loader = next(folder.glob("usr/lib/*/ld-linux*.so.*"))
    # Some keep libraries of their own in a folder below.
    libraries = [loader.parent, *sorted({library.parent for library in loader.parent.glob("*/lib*.so*")})]
    return [str(loader), "--library-path", ":".join(map(str, libraries)), str(folder / program)]


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock, waiting for it; the kernel takes it from a process that dies."""
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Waiting for another run that does the same ({path}) …", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "flash-sale-checkout"


def _fetch_and_unpack(packages: Sequence[str], folder: Path) -> None:
    for leftover in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(leftover)
    print(f"Fetching {', '.join(packages)} from Debian {SUITE} …", flush=True)
    started_at = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"{folder.name}.partial-", dir=folder.parent) as work:
        archives = _download(packages, Path(work))
        _unpack(archives, Path(work, "root")).rename(folder)
    print(f"Fetched and unpacked {len(archives)} packages in {time.monotonic() - started_at:.1f} s", flush=True)


def _unpack(archives: Sequence[Path], folder: Path) -> Path:
    for archive in archives:
        output_of(["dpkg-deb", "--extract", str(archive), str(folder)])
    return folder


def _download(packages: Sequence[str], work: Path) -> list[Path]:
    """Download packages and their closure from the machine's mirror, trusting the machine's keyring."""
    mirror, release = _mirror_and_release()
    try:
        return _Apt(work / "apt", mirror, SUITE).download(packages)
    except StackError as error:
        if "NO_PUBKEY" not in str(error) and "Missing key" not in str(error):
            raise
    # The machine's keyring is older than the suite's signing key. Debian adds new keys to the keyring package of
    # older releases, and the machine's own release is one that its keyring verifies.
    print(f"The keyring of this machine does not know {SUITE}'s key yet: fetching the one of {release} …", flush=True)
    archives = _Apt(work / "apt-keyring", mirror, release).download(["debian-archive-keyring"])
    keyring = _unpack(archives, work / "keyring") / "usr/share/keyrings/debian-archive-keyring.gpg"
    return _Apt(work / "apt-again", mirror, SUITE, keyring).download(packages)


def _mirror_and_release() -> tuple[str, str]:
    """Address and release of the first full archive that this machine's apt is set up for.

    `apt-get indextargets` would be the command for it, but lists nothing on a fresh machine, before the first update.
    """
    addresses = output_of(["apt-get", "update", "--print-uris"])
    archive = re.search(r"^'(\S+)/dists/([^/-]+)/main/binary-", addresses, re.MULTILINE)  # not bookworm-updates
    if archive is None:
        raise StackError("apt knows no Debian archive here: add one to its sources")
    return archive[1], archive[2]


class _Apt:
    """apt-get with folders of its own, for one suite of one mirror."""

    def __init__(self, folder: Path, mirror: str, suite: str, keyring: Path | None = None) -> None:
        for path in ("lists/partial", "cache/archives/partial"):
            Path(folder, path).mkdir(parents=True)
        trust = f"[signed-by={keyring}] " if keyring else ""
        Path(folder, "sources.list").write_text(f"deb {trust}{mirror} {suite} main\n")
        Path(folder, "status").touch()
        # Read last, so that it wins over the machine's settings; its proxies, for one, stay.
        Path(folder, "apt.conf").write_text(APT_CONF.format(folder=folder))
        self._folder = folder

    def download(self, packages: Sequence[str]) -> list[Path]:
        """Fetch packages and everything they depend on."""
        self._run("update")
        self._run("install", "--yes", "--download-only", *packages)
        return sorted(self._folder.glob("cache/archives/*.deb"))

    def _run(self, *arguments: str) -> None:
        output_of(["apt-get", f"--config-file={self._folder}/apt.conf", *arguments])
