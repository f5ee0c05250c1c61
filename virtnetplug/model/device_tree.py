"""What `devices` answers: every PF with its VFs, who has them, and what is wrong with them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from virtnetplug.model.host_device import PciDevice, VfCounters, VfSettings


class DeviceState(enum.StrEnum):
    """Of a VF, the first that applies."""

    QUARANTINED = "quarantined"  # it could not be given back as it was
    ATTACHED = "attached"  # a running domain has it
    HELD = "held"  # an operation of virtnetplug holds it for a domain
    RESERVED = "reserved"  # a port of its pool names a domain that does not have it
    BUSY = "busy"  # some process has it open, and no domain of this connection has it
    FREE = "free"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUser:
    """Somebody who has a VF, as one view has it.

    `view` is ``domain`` (a running domain's definition), ``port`` (a network's), ``journal`` or ``process`` (its id is `pid`).
    """

    view: str
    domain: str = ""
    domain_uuid: str = ""
    nic: str = ""
    network: str = ""
    port: str = ""
    operation: str = ""
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VfView:
    """One VF. `settings` is None where they could not be read; `problems` are sentences, none for a healthy one.

    `counters` are of a VF that a running domain has; None where nothing was counted of it, as by a driver that counts nothing.
    """

    device: PciDevice
    state: DeviceState
    users: tuple[DeviceUser, ...] = ()
    settings: VfSettings | None = None
    counters: VfCounters | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PfView:
    """One PF with its VFs by index, and the hostdev networks that lend them."""

    device: PciDevice
    link_up: bool
    pools: tuple[str, ...] = ()
    vfs: tuple[VfView, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTree:
    """Every SR-IOV network device of a host; `unseen` names what could not be looked at, and why."""

    pfs: tuple[PfView, ...]
    unseen: tuple[str, ...] = ()
