"""Boots one Linux guest of each machine type and saves it once its network is up."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import libvirt

PLACE = Path("/usr/lib/lab")
IMAGES = Path("/var/lib/libvirt/images")
BOOT_SECONDS = 900
ROOT_PORTS = "<controller type='pci' model='pcie-root'/>" + "<controller type='pci' model='pcie-root-port'/>" * 6
GUESTS = {"pc": ("2", ""), "q35": ("3", ROOT_PORTS)}
"""The last part of the guest's addresses, and its controllers."""


def main() -> None:
    with _driver() as connection:
        guests = {machine: connection.createXML(_definition(machine)) for machine in GUESTS}
        for machine, guest in guests.items():
            _wait_until_up(machine)
            target = IMAGES / f"linux-{machine}.save"
            guest.save(str(target))
            print(f"{target}: {target.stat().st_size >> 20} MiB", flush=True)


def _definition(machine: str) -> str:
    host, controllers = GUESTS[machine]
    text = (PLACE / "linux.xml").read_text()
    return text.replace("@MACHINE@", machine).replace("@HOST@", host).replace("@CONTROLLERS@", controllers)


def _wait_until_up(machine: str) -> None:
    log = Path(f"/run/linux-{machine}.log")
    for _ in range(BOOT_SECONDS * 10):
        text = log.read_text(errors="replace") if log.exists() else ""
        if "up=1 carrier=1" in text and "READY" in text:
            time.sleep(2)  # until it is idle
            return
        time.sleep(0.1)
    sys.exit(f"save: the guest on {machine} did not come up:\n{text}")


@contextmanager
def _driver() -> Iterator[libvirt.virConnect]:
    """libvirt's QEMU driver within this process."""
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_deliver_events, daemon=True).start()
    config = Path("/tmp/libvirt/etc/qemu.conf")
    config.parent.mkdir(parents=True)
    config.write_text(Path("/etc/libvirt/qemu.conf").read_text())
    connection = libvirt.open("qemu:///embed?root=/tmp/libvirt")
    yield connection
    connection.close()


def _deliver_events() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


main()
