"""What ``virtnetplug demo`` does and says: a NIC's whole life in a real, if small, virtual machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from virtnetplug.demo import guest, machine
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Outcome, Result

Answer = TypeVar("Answer")

NAME = "demo"
BRIDGES = ("demo0", "demo1")
ROOM = 40
"""Bytes the temporary directory's path may have: QEMU's monitor is a socket 67 further down, and its path has 107."""


class Machines(Protocol):
    """What starts and ends the virtual machine."""

    def start(self, xml: str) -> None:
        """Define and start it."""

    def reset(self, name: str) -> None:
        """Press its reset button."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What the composition root lends to the demonstration. `plugger` gets a URI, and a directory for a journal of its own."""

    machines: Callable[[str], Machines]
    plugger: Callable[[str, Path], Plugger]
    has_own_network: bool
    """Whether this process is alone in its network namespace."""


def tell(tools: Tools, say: Callable[[str], None], *, keep: bool = False) -> int:
    """Run the whole story; 0 if everything happened as it says."""
    is_deep = len(os.fsencode(tempfile.gettempdir())) > ROOM
    place = Path(tempfile.mkdtemp(prefix="virtnetplug-demo-", dir="/tmp" if is_deep else None))  # noqa: S108 - made as a new one of ours
    # libvirt reads this at its first use, which is below: its warnings are not part of the story
    os.environ.setdefault("LIBVIRT_LOG_OUTPUTS", f"3:file:{place}/libvirt.log")
    try:
        with ExitStack() as stack:
            _Story(tools, say, place, stack).run()
    finally:
        if keep:
            say(f"Left in place: {place}")
        else:
            shutil.rmtree(place, ignore_errors=True)
    return 0


class _Story:
    def __init__(self, tools: Tools, say: Callable[[str], None], place: Path, stack: ExitStack) -> None:
        self.say = say
        self.bridged = tools.has_own_network and shutil.which("ip") is not None and os.geteuid() == 0
        if self.bridged:
            for bridge in BRIDGES:
                _ip("link", "add", bridge, "type", "bridge")
                _ip("link", "set", bridge, "up")
        self.serial, self.log = place / "serial", place / "serial.log"
        uri = machine.embedded_root(place / "root")
        started = time.monotonic()
        self.machines = tools.machines(uri)
        stack.callback(self.machines.close)
        image = place / "guest.img"
        image.write_bytes(guest.image())
        self.log.write_bytes(b"")
        self.machines.start(machine.domain_xml(NAME, image, serial_socket=self.serial, serial_log=self.log))
        machine.keep_capabilities(place / "root")
        self.plugger = stack.enter_context(tools.plugger(uri, place / "journal"))
        self._await_boot()
        self.say(
            f"A virtual machine of 32 MB runs, emulated by QEMU, started by libvirt's embedded driver: no daemon, no KVM."
            f" ({time.monotonic() - started:.1f} s)"
        )

    def run(self) -> None:
        """The life of a NIC, then the life of a NIC that its guest does not release."""
        self._attach("1. Attach a NIC while the machine runs.", "ua-one")
        self._list()
        _, took = _timed(lambda: self.plugger.update(NAME, "ua-one", {"link_state": "down"}))
        self.say(f"2. Update it in place: its link is down now. ({took})")
        if self.bridged:
            _, took = _timed(lambda: self.plugger.update(NAME, "ua-one", {"source_bridge": BRIDGES[1]}))
            self.say(f"   And its tap is in another bridge, {BRIDGES[1]}; the guest's device is the same. ({took})")
        outcome, took = _timed(lambda: self.plugger.detach(NAME, "ua-one"))
        self._expect(outcome, Result.DONE)
        self.say(f"3. Detach it. The guest acknowledged, and only then the answer is: done. ({took})")
        self._stubborn()
        records = self.plugger.history(limit=100)
        operations = ", ".join(f"{record.operation} {record.result}" for record in reversed(records))
        self.say(f"The journal has it all: {operations}.")

    def _stubborn(self) -> None:
        self._order(guest.HOLD)
        self._attach("4. Attach another, to a guest that from now on lets nothing go.", "ua-two")
        outcome, took = _timed(lambda: self.plugger.detach(NAME, "ua-two", wait=1.0))
        self._expect(outcome, Result.PENDING)
        self.say(
            f"5. Detach it: {outcome.result}, for the guest still has it. ({took}, exit code 75 on the command line)"
        )
        self._list()
        self.machines.reset(NAME)
        (settled,), took = _timed(lambda: self.plugger.recover(NAME, wait=20.0))
        self._expect(settled, Result.DONE)
        self.say(
            f"6. Reset the guest, and recover: {settled.result}; the detach that was pending has completed. ({took})"
        )

    def _attach(self, title: str, alias: str) -> None:
        if self.bridged:
            nic = Interface(type="bridge", source_bridge=BRIDGES[0], model="virtio", alias=alias)
        else:
            nic = Interface(type="user", model="virtio", alias=alias)
        outcome, took = _timed(lambda: self.plugger.attach(NAME, [nic]))
        self._expect(outcome, Result.DONE)
        self.say(f"{title} ({took})")

    def _list(self) -> None:
        for nic in self.plugger.list(NAME):
            behind = f"{nic.type} {nic.source}" if nic.source != "-" else nic.type
            tap = f", tap {nic.target}" if nic.target else ""
            states = f"frontend {nic.frontend}, backend {nic.backend}"
            self.say(f"   {nic.alias}  {nic.mac}  {behind}{tap}, at {nic.address} in the guest; {states}")

    def _expect(self, outcome: Outcome, result: Result) -> None:
        if outcome.result is not result:
            raise RuntimeError(f"{outcome.operation} was {outcome.result} ({outcome.message}), and should be {result}")

    def _await_boot(self) -> None:
        until = time.monotonic() + 30
        while guest.READY not in self.log.read_bytes():
            if time.monotonic() > until:
                raise RuntimeError("the virtual machine did not boot within 30 s")
            time.sleep(0.01)

    def _order(self, order: bytes) -> None:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(str(self.serial))
            line.sendall(order)
            while line.recv(1) != order:
                continue


def _timed(call: Callable[[], Answer]) -> tuple[Answer, str]:
    started = time.monotonic()
    answer = call()
    return answer, f"{(time.monotonic() - started) * 1000:.0f} ms"


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, stdin=subprocess.DEVNULL)
