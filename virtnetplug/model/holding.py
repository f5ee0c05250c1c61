"""A host device virtnetplug holds for a guest, from before it is touched until it is proved to be as it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from virtnetplug.model.interface import is_lasting
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.vf_identity import VfIdentity

Setting = str | int | bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """One row of the journal, unique by `address`: two processes can never hold the same device.

    `uri` is the connection's as it was dialled, `hypervisor` the key of what answers there (`Hypervisor.key`).
    `snapshot` has the device's settings before it was changed, by field name of `VfSettings`; its return restores them. `settings` has, in
    the same way, what virtnetplug was asked to set for this NIC, beyond what libvirt sets. `port` is the UUID of the device's port in
    `network`; both are empty if no pool lent the device. `quarantine` says why the device could not be returned, and is empty
    while it is in use. `since` is in Unix seconds. `identity` says which VF was taken; None in a row that an older version wrote.
    `unreadable` says which part of the row is damaged; the journal has no column for that.
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
        """Whether the device is held for the NIC with these: by now, the device may be behind another NIC, of any domain."""
        is_named = alias == self.alias or not is_lasting(self.alias)
        return is_named and str(address) == str(self.address) and self.mac in ("", str(mac))
