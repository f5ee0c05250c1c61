"""Figure 5, inside the SR-IOV lab: one VF lent to a guest and returned, against bare libvirt-python on the same VF."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from single import ALIAS, TICK, Bare, Ours, await_phase, timed
from stage import Stage
from table import Row

VF = "0000:02:10.0"
HOST_DRIVER = "igbvf"
MANAGED = (
    "<interface type='hostdev' managed='yes'><mac address='52:54:00:be:00:02'/><source><address type='pci' "
    f"domain='0x0000' bus='0x02' slot='0x10' function='0x0'/></source><alias name='{ALIAS}'/></interface>"
)


class BareVf(Bare):
    """The NIC counts as out once the host has its VF again, which virtnetplug proves before it answers."""

    def detach(self, alias: str) -> None:
        super().detach(alias)
        deadline = time.monotonic() + 20
        while not _is_home():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{VF} is not back on {HOST_DRIVER} after 20 s")
            time.sleep(0.005)


def measure(stage: Stage) -> Iterator[Row]:
    """Pairs as in `single`: their first alternates, and both of a pair ask for the VF at the same instant of the guest's tick."""
    connection = stage.connect(stage.lab)
    guest = stage.guests(connection, "hostdev", 1)[0]
    sides = Ours(stage.plugger(stage.lab, "hostdev"), guest.name), BareVf(connection, guest.name)
    times: dict[str, tuple[list[float], list[float]]] = {"attach": ([], []), "detach": ([], [])}
    chance = random.Random(20)
    for number in range(-2, stage.rounds(20)):
        phase = chance.random() * TICK
        for which in (0, 1) if number % 2 else (1, 0):
            attach = timed(lambda side=sides[which]: side.attach(MANAGED))
            _await_quiet()
            await_phase(phase)
            detach = timed(lambda side=sides[which]: side.detach(ALIAS))
            _await_quiet()
            if number >= 0:  # the first pairs warm up
                times["attach"][which].append(attach)
                times["detach"][which].append(detach)
    yield Row("attach of a VF", "libvirt-python", "ms", *times["attach"], most=1.3)
    yield Row("detach of a VF", "libvirt-python", "ms", *times["detach"], most=1.15)


def _is_home() -> bool:
    """On its host driver, with its network interface."""
    device = Path("/sys/bus/pci/devices") / VF
    return (device / "driver").resolve().name == HOST_DRIVER and any(device.glob("net/*"))


def _await_quiet() -> None:
    """Until udev is through with the VF, which came or went: nobody pays for what the one before set off."""
    subprocess.run(["udevadm", "settle", "--timeout=20"], check=True)
