"""Virtual hosts for hot-plugging what this machine does not have: see docs/lab.md."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from host import cache, needs, run, together
from host.stages import Stages
from image.build import build
from image.recipe import Recipe
from sriov.recipe import SRIOV
from xen.recipe import XEN

LABS = {recipe.name: recipe for recipe in (SRIOV, XEN)}
ALL = "all"
EXAMPLES = """\
examples:
  lab build sriov
  lab run sriov -- virtnetplug list
  lab run sriov --timeout 600 -- python3 -m pytest tests/lab
  lab run all -- python3 -m pytest tests/lab tests/lab_xen
  lab shell sriov

The exit code of run and shell is the command's; 124 if it took too long, 128 and the number of the signal
that ended it (130: Ctrl-C), 1 if something is missing or the machine did not come up. That of run all is the highest.
"""


def main() -> int:
    """Gives the exit code."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by the caller, every command would seem to have succeeded
    os.umask(0o022)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
            signal.signal(number, _end)
    given = _parser().parse_args()
    if given.action == "list":
        return _list()
    if given.action != "build" and given.lab == ALL and given.keep_console is not None:
        sys.exit("lab: --keep-console is for one lab; several would write the same file")
    if os.geteuid() != 0:
        sys.exit("lab: needs root (mount, chroot and namespaces): sudo contrib/lab/lab …")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if given.lab == ALL:
        return _together(given)
    stages = Stages()
    try:
        return _perform(given, stages)
    except KeyboardInterrupt as end:
        number = end.args[0] if end.args else signal.SIGINT
        stages.say(f"{signal.Signals(number).name}: the lab is off, nothing is left")
        return 128 + int(number)


def _together(given: argparse.Namespace) -> int:
    options = [] if given.timeout is None else ["--timeout", str(given.timeout)]
    return together.run([*LABS], options, given.command)


def _perform(given: argparse.Namespace, stages: Stages) -> int:
    recipe = LABS[given.lab]
    if given.action == "shell" and not (os.isatty(0) and os.isatty(1)):
        sys.exit("lab: shell needs a terminal; without one: lab run LAB -- COMMAND")
    if given.action != "build":
        needs.require_to_run()
    while True:
        image = cache.ensure(recipe, lambda place: _build(recipe, place, stages), stages.say)
        with cache.use(image) as is_there:
            if not is_there:
                continue
            code = _act(given, recipe, image, stages)
        stages.summary()
        return code


def _build(recipe: Recipe, place: cache.Image, stages: Stages) -> None:
    needs.require_to_build(cache.home(), recipe.python_packages[0])
    build(recipe, place, stages)


def _act(given: argparse.Namespace, recipe: Recipe, image: cache.Image, stages: Stages) -> int:
    if given.action == "build":
        stages.say(f"the image is {image.directory}")
        return 0
    if given.action == "shell":
        return run.shell(recipe, image, stages, console=given.keep_console)
    command: Sequence[str] = given.command
    return run.inside(recipe, image, command, stages, timeout=given.timeout, console=given.keep_console)


def _list() -> int:
    for recipe in LABS.values():
        built = "built" if cache.image_of(recipe).directory.exists() else "not built"
        print(f"{recipe.name:8} {recipe.summary} ({built})")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lab", description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    actions.add_parser("list", help="the labs there are")
    build_action = actions.add_parser("build", help="build the image, unless it is there already")
    run_action = actions.add_parser("run", help="boot, run a command in the checkout inside, power off")
    shell_action = actions.add_parser("shell", help="boot, and give a shell inside")
    for action in (build_action, run_action, shell_action):
        of_all = [ALL] if action is run_action else []
        action.add_argument("lab", choices=[*LABS, *of_all], metavar="LAB", help=", ".join([*LABS, *of_all]))
    for action in (run_action, shell_action):
        action.add_argument("--keep-console", type=Path, metavar="FILE", help="write there what the kernel says")
    run_action.add_argument("--timeout", type=float, metavar="S", help="end the command after so many seconds")
    run_action.add_argument("command", nargs="+", metavar="COMMAND", help="with its arguments, after --")
    return parser


def _end(number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)
