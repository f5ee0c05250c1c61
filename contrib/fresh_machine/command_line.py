"""A command on a Debian 12 or 13 that has nothing but git, make and apt, in a clone of this checkout's HEAD.

The machine is a root file system in namespaces, and is gone when the command ends, however it ends. It gets this
machine's network, and the files of apt's and pip's configuration, but no variable: PATH, HOME and LANG are its own.
Its kernel is this machine's.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

from host import needs
from image import debian

from fresh_machine import machine, settings, template

CHECKOUT = Path(__file__).resolve().parents[2]
NAMED = 8
"""So many uncommitted files are named."""
MEGABYTES = 4000
"""What a run of all tests takes at the most, and the root file system that it began with."""
ROOT_MEGABYTES = 800
"""What the root file system takes where mmdebstrap makes it."""
NO_ROOM, NO_NAMESPACES, NO_INDEX, NO_TOOLS, NO_ROOT_FILE_SYSTEM = 120, 121, 122, 123, 125
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
EPILOG = """\
examples:
  contrib/fresh 12 make demo
  contrib/fresh 13 make check
  contrib/fresh --user 13 'make demo && .venv/bin/virtnetplug doctor'

One word is a line for the shell; several are a command and its arguments.

The exit code is the command's, or of this program itself:
    1  what git or apt-config said          121  no namespaces for this user, or for root
    2  no such release, or no command
  119  the command succeeded, but units     122  no package index
       are enabled that were not before     123  no mmdebstrap or git
  120  no room, or nothing can be written   125  mmdebstrap failed: its words are above
                                            128 and more: ended by a signal

What is kept in ~/.cache/virtnetplug/fresh (or XDG_CACHE_HOME) spares the network: a root file system for each release
and the packages that were fetched. It may be removed.
"""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"fresh: {message}; see contrib/fresh --help\n")


def main() -> int:
    """Gives the exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by the caller, every command would seem to have succeeded
    os.umask(0o022)
    given = _parser().parse_args()
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        del os.environ[name]  # git sets some for its hooks, and they would name another repository
    if given.command and given.command[0].startswith("-"):
        return _fail(2, f"{given.command[0]} comes before the release; see contrib/fresh --help")
    if not given.command:
        return _fail(
            2, f"no command for the fresh Debian {given.release}; for example: contrib/fresh {given.release} make demo"
        )
    for number in ENDING:
        if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _end)
    try:
        return _perform(given)
    except KeyboardInterrupt as end:
        number = end.args[0] if end.args else signal.SIGINT
        return _fail(128 + int(number), f"{signal.Signals(number).name}: the fresh machine is off, nothing is left")
    except subprocess.CalledProcessError as error:  # git or apt-config, which have said why
        return _fail(1, f"{error.cmd[0]} ended with {error.returncode}; is there room, and is its configuration right?")
    except OSError as error:
        why = f"{error.filename or template.home()}: {error.strerror}"
        return _fail(
            NO_ROOM, f"{why}; what is kept is below XDG_CACHE_HOME, or ~/.cache: is there room, and may you write?"
        )


def _perform(given: argparse.Namespace) -> int:
    if lack := needs.lacks_user_namespaces() if os.geteuid() else needs.lacks_rights():
        return _fail(NO_NAMESPACES, lack)
    lacking = [name for name in ("mmdebstrap", "git") if shutil.which(name) is None]
    if lacking and not _install_tools():
        install = "apt-get install --no-install-recommends mmdebstrap debian-archive-keyring git"
        return _fail(NO_TOOLS, f"{lacking[0]} is not installed; as root, run: {install}")
    changed = _uncommitted()
    if changed is None:
        return _fail(2, f"{CHECKOUT} has no commit of git's to run; clone the repository")
    rooms = {template.home(): MEGABYTES}
    if not template.archive_of(given.release).exists():
        rooms[Path(tempfile.gettempdir())] = ROOT_MEGABYTES
    for place, megabytes in rooms.items():
        if lack := needs.lacks_room(place, megabytes, in_cache=place == template.home()):
            return _fail(NO_ROOM, lack)
    mirror = debian.find_mirror()
    if lack := needs.lacks_index(mirror, template.RELEASES[given.release]):
        return _fail(NO_INDEX, lack)
    assert mirror is not None
    template.home().mkdir(parents=True, exist_ok=True)
    try:
        archive = template.ensure(given.release, mirror, settings.access(), _say)
    except subprocess.CalledProcessError as error:
        return _fail(
            NO_ROOT_FILE_SYSTEM,
            f"no root file system of Debian {given.release}: mmdebstrap ended with {error.returncode}",
        )
    if changed:
        more = f" and {len(changed) - NAMED} more" if len(changed) > NAMED else ""
        _say(f"{len(changed)} uncommitted changes are not in the clone: {', '.join(changed[:NAMED])}{more}")
    command = given.command if len(given.command) > 1 else ["sh", "-c", *given.command]
    return machine.run(archive, given.release, CHECKOUT, command, as_user=given.user)


def _install_tools() -> bool:
    """Root has them installed."""
    words = [CHECKOUT / "contrib/setup", "fresh"]
    return os.geteuid() == 0 and subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode == 0


def _uncommitted() -> list[str] | None:
    """The files that HEAD has otherwise, or not; None if there is no HEAD."""
    git = ["git", "-c", "safe.directory=*"]
    if subprocess.run([*git, "rev-parse", "--verify", "HEAD"], cwd=CHECKOUT, capture_output=True).returncode:
        return None
    words = [*git, "status", "--porcelain", "-z", "--untracked-files=all", "--no-renames"]
    listed = subprocess.run(words, cwd=CHECKOUT, capture_output=True, check=True).stdout
    return [entry[3:].decode(errors="backslashreplace") for entry in listed.split(b"\0") if entry]


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="contrib/fresh", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("release", choices=[*template.RELEASES], metavar="RELEASE", help=" or ".join(template.RELEASES))
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="what to run, with its arguments")
    as_user = "run it as an ordinary user, for whom root has installed the packages inside"
    parser.add_argument("--user", action="store_true", help=as_user)
    return parser


def _say(text: str) -> None:
    print(f"fresh: {text}", file=sys.stderr, flush=True)


def _fail(code: int, text: str) -> int:
    _say(text)
    return code


def _end(number: int, _frame: FrameType | None) -> None:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)  # a second one would stop the removal of the machine
    raise KeyboardInterrupt(number)
