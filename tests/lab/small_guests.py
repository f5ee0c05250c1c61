"""The boot-sector guests, used by one test after another: under emulation, to start one takes longer than most tests do."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import libvirt

from tests.real import guests, namespace
from tests.real.guests import Guest

_numbers = itertools.count(1)
Made = tuple[str, str]


class SmallGuests:
    """Those of a run: whoever takes one gets it running and without a NIC, as it was made."""

    def __init__(self, connect: Callable[[], libvirt.virConnect]) -> None:
        self._connect = connect
        self._connected: libvirt.virConnect | None = None
        self._spare: dict[str, list[Guest]] = defaultdict(list)
        self._made: dict[str, tuple[str, Made]] = {}

    def take(self, machine: str = "pc") -> Guest:
        """One that nobody has."""
        if self._spare[machine]:
            spare = self._spare[machine].pop()
            spare.reconnect(self._connection())
            return spare
        guest = self.start(machine=machine)
        self._made[guest.uuid] = machine, _definitions(guest)
        return guest

    def start(self, **options: Any) -> Guest:
        """One of its own kind: see `guests.start`."""
        place = namespace.PLACE / f"small{next(_numbers)}"
        place.mkdir(parents=True)
        return guests.start(self._connection(), place, **options)

    def give_back(self, guest: Guest) -> None:
        """It is kept for the next, unless anything of it is not as it was made."""
        machine, made = self._made.get(guest.uuid, ("", ("", "")))
        if guest.uuid not in [dom.UUIDString() for dom in self._connection().listAllDomains()]:
            return
        guest.reconnect(self._connection())
        if _is_running(guest) and _definitions(guest) == made:
            guest.resume()  # one that holds on lets go
            self._spare[machine].append(guest)
        else:
            self.remove(guest)

    def remove(self, guest: Guest) -> None:
        """It is stopped, and forgotten."""
        guests.remove(self._connection(), [guest.uuid])

    def _connection(self) -> libvirt.virConnect:
        """One that is alive: tests kill libvirtd."""
        if self._connected is None or not self._connected.isAlive():
            self._connected = self._connect()
        return self._connected


def _definitions(guest: Guest) -> Made:
    """Both, but for the number that is another after each start."""
    live = re.sub(r" id='\d+'", "", guest.dom.XMLDesc(), count=1)
    return live, guest.dom.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)


def _is_running(guest: Guest) -> bool:
    return bool(guest.dom.state()[0] == libvirt.VIR_DOMAIN_RUNNING)
