"""One command on one fresh machine, from its root file system to nothing left."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from host import namespaces, needs

from fresh_machine import settings, template
from tests.suites.room import directory

HERE = Path(__file__).resolve().parent


def run(archive: Path, release: str, checkout: Path, command: Sequence[str], *, as_user: bool) -> int:
    """Run `command` in a clone of `checkout`; gives its exit code."""
    with directory(template.home(), "run-", _remove) as (place, _):
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
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)  # one that comes now would leave a part of the machine
            enclosed.end()
            _keep(place / "root/var/cache/apt/archives", packages)


def _options() -> tuple[str, ...]:
    return ("--ipc", *(needs.USER_NAMESPACE if os.geteuid() else ()))


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
