"""The emulated machine: started, watched while it boots, spoken to, and ended."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from host import checkout
from host.cache import Image
from host.namespaces import Enclosed
from image.recipe import Recipe
from inside import frames

LAUNCH = Path(__file__).with_name("launch")

SILENCE = 150.0
"""Processor seconds without any news of the boot after which it hangs. A stage takes up to 20, however busy the machine is."""
STANDSTILL = 900.0
"""Seconds without news after which it hangs although it has hardly run."""

# On a busy machine the emulated timer may fail the kernel's check, which then gives up.
_KERNEL_ARGUMENTS = "panic=-1 no_timer_check mitigations=off nokaslr net.ifnames=0"


class BootFailed(Exception):
    """The machine did not come up: the message says how far it came."""


class Machine:
    """One boot of a lab. Whoever makes it must `end` it."""

    def __init__(self, recipe: Recipe, image: Image, console: IO[bytes], *, keep_disk: bool = False) -> None:
        """Start it; `console` gets what the kernel says. What it writes to its disk is lost, unless `keep_disk`."""
        self._line, theirs = socket.socketpair()
        self._frames = frames.Reader()
        arguments = _qemu_arguments(recipe, theirs.fileno(), keep_disk)
        with theirs, checkout.archive() as files:
            self._enclosed = Enclosed(
                [str(LAUNCH), str(image.directory), *arguments],
                stdin=files,
                stdout=console,
                stderr=console,
                pass_fds=(theirs.fileno(),),
            )

    def wait_ready(self, stage_done: Callable[[str], None]) -> None:
        """Wait until the host inside is prepared. Raises `BootFailed`."""
        last, stage = self._spent(), "start"
        while True:
            seconds, worked = (now - then for now, then in zip(self._spent(), last, strict=True))
            if worked > SILENCE or seconds > STANDSTILL:
                raise BootFailed(
                    f"it hangs: nothing new for {seconds:.0f} s after {stage!r}, of which it ran {worked:.0f}"
                )
            for _, payload in self.receive(1.0):
                message, last = json.loads(payload), self._spent()
                if "stage" in message:
                    stage = message["stage"]
                    stage_done(stage)
                if "failed" in message:
                    raise BootFailed(message["failed"])
                if "ready" in message:
                    return

    def _spent(self) -> tuple[float, float]:
        """Seconds so far, and those in which it ran."""
        return time.monotonic(), self._enclosed.processor_seconds()

    def receive(self, timeout: float, *others: int) -> list[tuple[bytes, bytes]]:
        """The frames that came within `timeout` seconds, as soon as there are any or one of `others` can be read.

        Raises `BootFailed` if the machine is gone.
        """
        watched: list[Any] = [self._line, *others]
        if self._line not in select.select(watched, [], [], timeout)[0]:
            return []
        try:
            data = self._line.recv(1 << 16)
        except ConnectionError:
            data = b""
        if not data:
            raise BootFailed("the machine went off")
        return list(self._frames.feed(data))

    def tell(self, **message: Any) -> None:
        """Send one control message."""
        self._line.sendall(frames.control(**message))

    def type(self, data: bytes) -> None:
        """Send what the terminal gave."""
        self._line.sendall(frames.frame(frames.INPUT, data))

    def power_off(self) -> None:
        """In good order, so that its disk can be kept; raises `BootFailed` if that takes over a minute."""
        self.tell(off=True)
        deadline = time.monotonic() + 60
        while self._enclosed.process.poll() is None:
            if time.monotonic() > deadline:
                raise BootFailed("it does not power off")
            time.sleep(0.05)

    def end(self) -> None:
        """Cut its power. Returns once nothing of it is left."""
        self._enclosed.end()
        self._line.close()


def _qemu_arguments(recipe: Recipe, line: int, keep_disk: bool) -> Sequence[str]:
    def drive(name: str, path: str, snapshot: str) -> list[str]:
        settings = f"file={path},format=raw,if=none,id={name},snapshot={snapshot},cache=unsafe"
        return ["-drive", settings, "-device", f"virtio-blk-pci,drive={name}"]

    arguments = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-accel", "tcg,tb-size=1024"]
    arguments += [*recipe.machine, "-device", "virtio-rng-pci", *_boot_arguments(recipe)]
    arguments += drive("disk", "/mnt/disk.ext4", "off" if keep_disk else "on")
    arguments += drive("checkout", "/tmp/checkout.ext4", "off")
    arguments += ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
    arguments += ["-chardev", f"socket,id=line,fd={line}", "-device", "virtio-serial-pci"]
    arguments += ["-device", f"virtserialport,chardev=line,name={frames.PORT}"]
    return arguments


def _boot_arguments(recipe: Recipe) -> Sequence[str]:
    arguments = f"{_KERNEL_ARGUMENTS} {recipe.kernel_arguments}"
    if recipe.hypervisor is None:
        return ("-kernel", "/mnt/kernel", "-initrd", "/mnt/initrd", "-append", f"console=ttyS0 {arguments}")
    # Multiboot: `-initrd` names its modules with their arguments, parted by commas, and a comma within is doubled.
    modules = f"/mnt/kernel {'console=hvc0 ' + arguments.replace(',', ',,')},/mnt/initrd"
    return ("-kernel", "/mnt/hypervisor", "-append", recipe.hypervisor.arguments, "-initrd", modules)


def console_tail(console: IO[bytes], lines: int = 25) -> str:
    """The last words on the console."""
    console.flush()
    text = os.pread(console.fileno(), 1 << 20, max(0, os.fstat(console.fileno()).st_size - (1 << 14)))
    return "\n".join("    " + line for line in text.decode(errors="replace").splitlines()[-lines:])
