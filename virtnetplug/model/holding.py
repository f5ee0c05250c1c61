"""A host device virtnetplug holds for a guest, from before it is touched until it is proved to be as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from virtnetplug.model.host_device import VfIdentity
from virtnetplug.model.interface import is_lasting
from virtnetplug.model.pci import PciAddress

Setting = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One row of the journal, unique by `address`: two processes can never hold the same device.

    `uri` is the connection's as it was dialled, `hypervisor` the key of what answers there (`Hypervisor.key`).
    `snapshot` holds the device's settings from before virtnetplug changed them, by field name of `VfSettings`: they have to be restored.
    `settings` holds, in the same way, what virtnetplug was asked to set for this NIC, beyond what libvirt sets. `port` is the uuid of its
    port in `network`, both empty where it came from no pool. `quarantine` says why the device could not be restored, and is empty
    while it is in use. `since` in Unix seconds. `identity` says which VF was taken; None in a row that an older version wrote.
    `unreadable` names the damaged part of the row; the journal has no column of this.
    """

    address: PciAddress
    uri: str
    hypervisor: str
    domain_uuid: str
    domain_name: str
    domain_id: int
    alias: str
    mac: str
    managed: bool
    network: str = ""
    port: str = ""
    operation_id: str = ""
    snapshot: Mapping[str, Setting] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    quarantine: str = ""
    since: float = 0.0
    identity: VfIdentity | None = None
    unreadable: str = ""

    def is_behind(self, alias: str | None, mac: object, address: object) -> bool:
        """Whether the device is held for the NIC with this alias, MAC and address. By now the device may be behind another NIC, of any domain."""
        is_named = alias == self.alias or not is_lasting(self.alias)
        return is_named and str(address) == str(self.address) and self.mac in ("", str(mac))
