"""How this machine reaches its package indexes, as files: a fresh machine is given these, and no variable."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from image import debian

from fresh_machine.template import RELEASES

_APT = Path("/etc/apt")
_PIP = (Path("/etc/pip.conf"), Path("/etc/xdg/pip/pip.conf"))
_OWN_PIP = (Path("~/.config/pip/pip.conf"), Path("~/.pip/pip.conf"))
_HOMES = ("root", "etc/skel")
_NETWORK = (Path("/etc/resolv.conf"), Path("/etc/hosts"))
_AUTHORITIES = Path("/usr/local/share/ca-certificates")
_PATH = re.compile(r"(file://)?(/[^\s\"';,\]]+)")


def access() -> list[str]:
    """How apt fetches: proxies, certificates, what may be out of date. Not what it does with packages."""
    dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    skipped = ("Acquire::IndexTargets", "Acquire::cdrom", "Acquire::Changelogs", "Acquire::CompressionTypes")
    lines = (line.rstrip(";") for line in dump.splitlines() if line.startswith("Acquire::"))
    return [line for line in lines if not line.startswith(skipped) and not line.endswith('""')]


def sources(release: str) -> list[str]:
    """The lines of a sources.list: this machine's mirrors, but of `release`."""
    name = RELEASES[release]
    found: dict[str, str] = {}
    for uri, suite in debian.suites():
        kind = "-security" if "security" in uri else "-updates" if suite.endswith("-updates") else ""
        if kind or "-" not in suite:
            found.setdefault(name + kind, uri)
    return [f"deb {uri} {suite} main" for suite, uri in found.items()]


def write(files: Path, release: str) -> list[Path]:
    """Fill `files` with what is to be copied over the root file system; gives the directories that are wanted as well."""
    apt = files / "etc/apt"
    _write(apt / "sources.list", sources(release))
    _write(apt / "apt.conf.d/90access", [f"{line};" for line in access()])
    for file in [*_APT.glob("trusted.gpg.d/*"), *_APT.glob("auth.conf"), *_APT.glob("auth.conf.d/*")]:
        _copy(file, files / file.relative_to("/"))
    for keyring in _named(path.read_text() for path in [*_APT.glob("sources.list"), *_APT.glob("sources.list.d/*")]):
        if keyring.is_file():
            _copy(keyring, apt / "trusted.gpg.d" / keyring.name)
    for file in [*_NETWORK, *_AUTHORITIES.rglob("*.crt"), *_PIP]:
        _copy(file, files / file.relative_to("/"))
    for home in _HOMES:
        for file in _OWN_PIP:
            _copy(file.expanduser(), files / home / file.relative_to("~"))
    wanted = sorted({*_named(access()), *_named(_pip_values())})
    for path in wanted:
        if path.is_file():
            _copy(path, files / path.relative_to("/"))
    return [path for path in wanted if path.is_dir()]


def _pip_values() -> list[str]:
    found = []
    for file in (*_PIP, *_OWN_PIP):
        parsed = configparser.RawConfigParser()
        parsed.read(file.expanduser())
        found += [value for section in parsed.sections() for value in parsed[section].values()]
    return found


def _named(texts: Iterable[str]) -> list[Path]:
    """The paths that these texts name and this machine has; a local index links to files beside it, so all there is named."""
    paths = []
    for scheme, name in (match for text in texts for match in _PATH.findall(text)):
        path = Path(name)
        if path.exists():
            paths.append(path.parent if scheme and path.is_dir() else path)
    return [path for path in paths if path != Path("/")]


def _copy(source: Path, target: Path) -> None:
    if source.is_file() and os.access(source, os.R_OK):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def _write(target: Path, lines: list[str]) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("".join(f"{line}\n" for line in lines))
