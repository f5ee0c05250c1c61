"""A root file system from Debian packages, from the mirror this machine uses itself."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from host import namespaces

RELEASE = "trixie"
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/gtk-doc/*")
_INITRAMFS_HOOK = "/etc/kernel/postinst.d/initramfs-tools"
"""Labs have an initial RAM disk of their own; making Debian's takes long, and fails where there is no /dev."""


def make_root(root: Path, packages: Iterable[str]) -> None:
    """Make the directory `root` from `packages` and what they depend on; nothing is recommended into it."""
    command = ["mmdebstrap", "--mode=root", "--variant=minbase", "--quiet"]
    command += ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"]
    command += [f"--aptopt={setting}" for setting in _proxies()]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in (*_LEFT_OUT, _INITRAMFS_HOOK)]
    namespaces.run([*command, "--include=" + ",".join(packages), RELEASE, str(root), mirror()], network=True)
    shutil.rmtree(root / "var/lib/apt/lists", ignore_errors=True)
    shutil.rmtree(root / "var/cache/apt", ignore_errors=True)


def mirror() -> str:
    """`find_mirror`, or the end."""
    if found := find_mirror():
        return found
    sys.exit("lab: apt's configuration names no Debian mirror: add one to /etc/apt/sources.list.d")


def find_mirror() -> str | None:
    """The Debian mirror of this machine's apt configuration, in whichever of apt's formats it is written."""
    for uri, suite in suites():
        if "security" not in uri and "-" not in suite:
            return uri
    return None


def suites() -> list[tuple[str, str]]:
    """Each Debian address and suite of this machine's apt configuration; none where apt cannot read that."""
    words = ["apt-get", "update", "--print-uris"]  # which also tells of what was never fetched
    targets = subprocess.run(words, check=False, capture_output=True, text=True).stdout
    return [
        (uri, suite)
        for uri, suite in re.findall(r"^'(.+)/dists/([^/']+)/InRelease'", targets, re.M)
        if "/debian" in uri
    ]


def _proxies() -> list[str]:
    settings = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    return [
        line.rstrip(";") for line in settings.splitlines() if "::proxy" in line.lower() and not line.endswith('"";')
    ]


def install_python_packages(root: Path, packages: Iterable[str]) -> None:
    """Put pure Python packages beside Debian's, before which Python finds them; pip's own configuration holds."""
    (library,) = (root / "usr/lib").glob("python3.*")
    words = ["-m", "pip", "--disable-pip-version-check", "--no-input", "install", "-qq", "--no-compile"]
    words += ["--root-user-action=ignore", "--only-binary=:all:", f"--python-version={library.name[6:]}"]
    target = root / "usr/local/lib" / library.name / "dist-packages"
    subprocess.run(["/usr/bin/python3", *words, f"--target={target}", *packages], check=True)
    namespaces.run(["chroot", str(root), "python3", "-m", "compileall", "-q", f"/{target.relative_to(root)}"])
