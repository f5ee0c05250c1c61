"""A process that runs one operation and is killed in the middle: ``python -m tests.contract.victim NAME K AFTER``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tests.contract.faults import Trigger, faulty
from tests.contract.operations import OPERATIONS
from tests.contract.world import World
from virtnetplug.adapters.clock import SystemClock
from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor
from virtnetplug.adapters.libvirt.networks import LibvirtNetworks
from virtnetplug.adapters.libvirt.nodedevs import LibvirtNodeDevices
from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
from virtnetplug.adapters.linux.links import LinuxLinks
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.hotplug.host import Host
from virtnetplug.hotplug.plugger import Plugger

NEVER_CAME = 7
"""Exit status: the operation ended before call k, for how often a guest is looked at depends on how fast it is."""


def main(name: str, k: int, after: bool) -> None:
    hypervisor = LibvirtHypervisor.open(os.environ["VICTIM_URI"])
    state = Path(os.environ["VICTIM_STATE"])
    host = Host(
        hypervisor=hypervisor,
        networks=LibvirtNetworks(hypervisor),
        links=LinuxLinks(),
        host_devices=LinuxHostDevices(),
        nodedevs=LibvirtNodeDevices(hypervisor),
        journal=SqliteJournal.open(state),
        clock=SystemClock(),
        publish=lambda event: None,
    )
    first, second = os.environ["VICTIM_BRIDGES"].split()
    world = World(
        host=host,
        guest=None,
        name=os.environ["VICTIM_DOMAIN"],
        bridges=(first, second),
        network=os.environ["VICTIM_NETWORK"],
        members=lambda bridge: set(),
        reopen=lambda: host,
        state_dir=state,
        kind="real",
        uri=os.environ["VICTIM_URI"],
    )
    OPERATIONS[name][1](world, Plugger(faulty(host, Trigger(k, "kill", after=after)), lambda: None))
    sys.exit(NEVER_CAME)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1")
