"""One command on one fresh machine, from its root file system to nothing left."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from host import namespaces, needs

from fresh_machine import settings, template

HERE = Path(__file__).resolve().parent


def run(archive: Path, release: str, checkout: Path, command: Sequence[str], *, as_user: bool) -> int:
    """Run `command` in a clone of `checkout`; gives its exit code."""
    with _run_directory() as place:
        packages = template.home() / f"packages-{release}"
        packages.mkdir(exist_ok=True)
        (place / "debs").symlink_to(packages)
        along = settings.write(place / "files", release)
        (place / "along").write_text("".join(f"{path}\n" for path in along))
        # A bundle, not a path: as root in someone else's checkout, git would refuse to clone.
        words = ["git", "-c", "safe.directory=*", "bundle", "create", "--quiet", f"{place}/checkout.bundle", "HEAD"]
        subprocess.run(words, cwd=checkout, check=True)
        who = "user" if as_user else "root"
        entered = [f"{HERE}/enter", str(place), str(archive), who, *command]
        enclosed = namespaces.Enclosed(entered, network=True, options=_options())
        try:
            return enclosed.wait()
        finally:
            enclosed.end()
            _keep(place / "root/var/cache/apt/archives", packages)


def _options() -> tuple[str, ...]:
    return ("--ipc", *(needs.USER_NAMESPACE if os.geteuid() else ()))


@contextmanager
def _run_directory() -> Iterator[Path]:
    """A directory for one run, locked while it is used. Those that killed runs left are removed."""
    for left in template.home().glob("run-*"):
        with suppress(OSError), _locked(left):
            _remove(left)
    place = Path(tempfile.mkdtemp(prefix="run-", dir=template.home()))
    with _locked(place):
        try:
            yield place
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # one that comes now would leave a part of it
            _remove(place)


@contextmanager
def _locked(place: Path) -> Iterator[None]:
    """Raises `BlockingIOError` while another process has it."""
    directory = os.open(place, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(directory)


def _remove(place: Path) -> None:
    """Also what belongs to other ids of this user's namespace."""
    if os.geteuid() == 0:
        shutil.rmtree(place)
    else:
        namespaces.run(["rm", "-rf", "--one-file-system", str(place)], options=_options())


def _keep(fetched: Path, packages: Path) -> None:
    for file in fetched.glob("*.deb"):
        with suppress(FileExistsError):
            os.link(file, packages / file.name)
