"""One command inside a lab, from the start of the machine to its end."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from host import terminal
from host.cache import Image
from host.machine import BootFailed, Machine, console_tail
from host.stages import Stages
from image.recipe import Recipe
from inside import frames

TIMED_OUT = 124
"""The exit code for a command that took too long: timeout(1)'s."""


def inside(
    recipe: Recipe,
    image: Image,
    command: Sequence[str],
    stages: Stages,
    *,
    timeout: float | None = None,
    console: Path | None = None,
    new_disk: Callable[[], None] | None = None,
) -> int:
    """Boot, run `command` for at most `timeout` seconds, power off; gives the command's exit code.

    With `new_disk`, which writes the disk image and is called before each boot, what is done to the disk stays.
    """
    with _console(console) as log, _booted(recipe, image, log, stages, new_disk) as machine:
        start = time.monotonic()
        try:
            code = _follow(machine, command, stages, timeout)
            stages.took("command", time.monotonic() - start)
            if new_disk and code != TIMED_OUT:
                machine.power_off()
        except BootFailed as failure:
            stages.say(f"{failure}, after it had come up; the last on its console:\n{console_tail(log)}")
            raise SystemExit(1) from None
        return code


def shell(recipe: Recipe, image: Image, stages: Stages, *, console: Path | None = None) -> int:
    """Boot and give a shell on this terminal; gives the shell's exit code."""
    with _console(console) as log, _booted(recipe, image, log, stages, None) as machine:
        stages.say("a shell inside, in the checkout; leave it, and the lab powers off")
        return terminal.connect(machine, ["bash", "-l"])


@contextmanager
def _booted(
    recipe: Recipe, image: Image, log: IO[bytes], stages: Stages, new_disk: Callable[[], None] | None
) -> Iterator[Machine]:
    """A machine that is ready; a boot that fails is tried once more."""
    for attempt in (1, 2):
        start = time.monotonic()
        stages.say(f"booting {recipe.name} …")
        if new_disk:
            new_disk()
        machine = Machine(recipe, image, log, keep_disk=new_disk is not None)
        try:
            try:
                machine.wait_ready(stages.say)
            except BootFailed as failure:
                again = "; trying once more" if attempt == 1 else ", again"
                stages.say(f"boot failed{again}: {failure}; the last on its console:\n{console_tail(log)}")
                continue
            stages.took("boot" if attempt == 1 else "second boot", time.monotonic() - start)
            yield machine
            return
        finally:
            machine.end()
    raise SystemExit(1)


def _follow(machine: Machine, command: Sequence[str], stages: Stages, timeout: float | None) -> int:
    machine.tell(run=list(command))
    deadline = time.monotonic() + timeout if timeout else float("inf")
    while time.monotonic() < deadline:
        for kind, payload in machine.receive(min(1.0, max(0.0, deadline - time.monotonic()))):
            if kind == frames.OUTPUT:
                stages.output(payload)
            elif (code := json.loads(payload).get("exit")) is not None:
                return int(code)
    stages.say(f"the command took longer than {timeout:g} s, and is ended")
    return TIMED_OUT


@contextmanager
def _console(path: Path | None) -> Iterator[IO[bytes]]:
    with path.open("w+b") if path else tempfile.TemporaryFile() as log:
        yield log
