"""The host's SR-IOV devices: each PF with its VFs, who has each, how it is set, and what is wrong with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from virtnetplug import xml
from virtnetplug.backends.vf_identity import loss_of
from virtnetplug.errors import ConnectionLost, NotSupported, VirtnetplugError
from virtnetplug.hotplug.call.host import Host
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import (
    VFIO_DRIVER,
    DeviceState,
    DeviceTree,
    DeviceUser,
    PciDevice,
    PfView,
    VfCounters,
    VfSettings,
    VfView,
)
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half
from virtnetplug.model.pci import PciAddress

T = TypeVar("T")
Users = dict[PciAddress, list[DeviceUser]]


def device_tree(host: Host) -> DeviceTree:
    """Look at every SR-IOV network device of this host; nothing is changed. Raises `NotSupported` for another host's, and `ConnectionLost`."""
    if not host.hypervisor.is_local:
        raise NotSupported(
            f"{host.hypervisor.uri} is another host, and its devices can only be looked at there; run this command on it"
        )
    return _Look(host).tree()


class _Look:
    """One look from all sides. A side that cannot be seen is named in `unseen`, once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._unseen: dict[str, None] = {}
        no_pools: list[Network] = []
        no_holdings: Sequence[Holding] = ()
        self._pools = self._tried("the pools", lambda: list(_pools(host)), no_pools)
        holdings = self._tried("the journal", host.journal.holdings, no_holdings)
        self._holdings = {holding.address: holding for holding in holdings}
        self._users = self._all_users()

    def tree(self) -> DeviceTree:
        found = list(self._host.host_devices.devices())
        self._miss(found)
        pfs = tuple(self._pf(pf, [vf for vf in found if vf.pf == pf.address]) for pf in found if pf.is_pf)
        return DeviceTree(pfs=pfs, unseen=tuple(self._unseen))

    def _miss(self, found: Sequence[PciDevice]) -> None:
        """Devices that are held and that no PF shows."""
        there = {device.address for device in found}
        for address, holding in self._holdings.items():
            if address not in there and (loss := loss_of(self._host, holding)) is not None and loss.is_gone:
                self._unseen[
                    f"{address}, held for {holding.alias} of {holding.domain_name}: it is gone from the host; "
                    "someone changed sriov_numvfs of its PF (`audit()` says what to do)"
                ] = None

    def _pf(self, pf: PciDevice, vfs: Sequence[PciDevice]) -> PfView:
        is_up = self._host.host_devices.is_link_up(pf.address)
        counted = self._counters(pf, vfs)
        its, netdevs = {vf.address for vf in vfs}, {pf.netdev} - {None}
        return PfView(
            device=pf,
            link_up=is_up,
            pools=tuple(pool.name for pool in self._pools if pool.pf in netdevs or its.intersection(pool.addresses)),
            vfs=tuple(self._vf(vf, counted.get(vf.address), is_settable=pf.netdev is not None) for vf in vfs),
            problems=tuple(_pf_problems(pf, is_up)),
        )

    def _vf(self, vf: PciDevice, counters: VfCounters | None, *, is_settable: bool) -> VfView:
        users = [*self._users.get(vf.address, ()), *self._processes(vf)]
        holding = self._holdings.get(vf.address)
        state = _state(users, holding)
        settings: VfSettings | None = None
        if is_settable:
            settings = self._tried(
                "the settings of the VFs", lambda: self._host.host_devices.settings(vf.address), None
            )
        return VfView(
            device=vf,
            state=state,
            users=tuple(users),
            settings=settings,
            counters=counters if state is DeviceState.ATTACHED else None,
            problems=tuple(_vf_problems(vf, state, users, holding, self._host.host_devices.group(vf.address))),
        )

    def _counters(self, pf: PciDevice, vfs: Sequence[PciDevice]) -> Mapping[PciAddress, VfCounters]:
        """None is asked for of a PF of which no domain has a VF: its card may have to be asked."""
        nothing: Mapping[PciAddress, VfCounters] = {}
        is_lent = any(user.view == "domain" for vf in vfs for user in self._users.get(vf.address, ()))
        if not is_lent or pf.netdev is None:
            return nothing
        return self._tried("the counters of the VFs", lambda: self._host.host_devices.counters(pf.address), nothing)

    def _processes(self, vf: PciDevice) -> list[DeviceUser]:
        """A device that VFIO does not have is open nowhere: the scan of all processes is left out."""
        if vf.driver != VFIO_DRIVER:
            return []
        nobody: frozenset[int] = frozenset()
        pids = self._tried("processes", lambda: self._host.host_devices.vfio_users(vf.address), nobody)
        return [DeviceUser(view="process", pid=pid) for pid in sorted(pids)]

    def _all_users(self) -> Mapping[PciAddress, Sequence[DeviceUser]]:
        users: Users = defaultdict(list)
        self._tried("the domains", lambda: _add_domains(self._host, users), None)
        self._tried("the networks' ports", lambda: _add_ports(self._host, self._pools, users), None)
        for address, holding in self._holdings.items():
            users[address].append(
                DeviceUser(
                    view="journal", domain=holding.domain_name, domain_uuid=holding.domain_uuid, nic=holding.alias,
                    network=holding.network, port=holding.port, operation=holding.operation_id,
                )
            )  # fmt: skip
        return users

    def _tried(self, what: str, look: Callable[[], T], otherwise: T) -> T:
        try:
            return look()
        except ConnectionLost:
            raise  # without libvirt every device would be free, and in no pool
        except VirtnetplugError as error:
            self._unseen[f"{what}: {error.message}"] = None
            return otherwise


def _pools(host: Host) -> Iterator[Network]:
    for name in host.networks.names():
        network = host.networks.network(name)
        if network.is_pool:
            yield network


def _add_domains(host: Host, users: Users) -> None:
    for domain, state in host.hypervisor.definitions():
        if not state.is_active:
            continue
        try:
            devices = xml.devices(domain.xml(Half.LIVE))
        except VirtnetplugError:
            continue  # it ended since it was listed
        for hostdev in devices.hostdevs:
            name = hostdev.parent or hostdev.alias or ""
            user = DeviceUser(view="domain", domain=domain.name, domain_uuid=domain.uuid, nic=name)
            users[hostdev.host_address].append(user)


def _add_ports(host: Host, pools: Sequence[Network], users: Users) -> None:
    for pool in pools:
        for port in host.networks.ports(pool.name):
            if port.host_address is not None:
                users[port.host_address].append(
                    DeviceUser(
                        view="port", domain=port.owner_name, domain_uuid=port.owner_uuid, nic=str(port.mac or ""),
                        network=pool.name, port=port.uuid,
                    )
                )  # fmt: skip


def _state(users: Sequence[DeviceUser], holding: Holding | None) -> DeviceState:
    if holding is not None and holding.quarantine:
        return DeviceState.QUARANTINED
    views = {user.view for user in users}
    for view, state in (
        ("domain", DeviceState.ATTACHED),
        ("journal", DeviceState.HELD),
        ("port", DeviceState.RESERVED),
        ("process", DeviceState.BUSY),
    ):
        if view in views:
            return state
    return DeviceState.FREE


def _pf_problems(pf: PciDevice, is_link_up: bool) -> Iterator[str]:
    if pf.netdev is None:
        yield f"no network interface (driver {pf.driver or 'missing'}): nothing can be set of its VFs"
    elif not is_link_up:
        yield f"link down: none of its VFs is lent; 'ip link set {pf.netdev} up', and look at the cable"
    if pf.num_vfs == 0:
        yield "no VFs; write their number into its sriov_numvfs"


def _vf_problems(
    vf: PciDevice,
    state: DeviceState,
    users: Sequence[DeviceUser],
    holding: Holding | None,
    group: Sequence[PciDevice],
) -> Iterator[str]:
    if holding is not None and holding.quarantine:
        yield f"quarantined: {holding.quarantine}; `repair()` tries again to return it"
    if state is DeviceState.ATTACHED and vf.driver != VFIO_DRIVER:
        yield f"a domain has it, and its driver is {vf.driver or 'none'} instead of {VFIO_DRIVER}"
    if state is DeviceState.FREE and vf.driver == VFIO_DRIVER:
        node = f"pci_{str(vf.address).replace(':', '_').replace('.', '_')}"
        yield f"on {VFIO_DRIVER} although nobody has it; 'virsh nodedev-reattach {node}' returns it"
    if state is DeviceState.BUSY:
        pids = ", ".join(str(user.pid) for user in users if user.pid is not None)
        yield f"process {pids} has it open through VFIO, and no domain of this connection has it"
    if state is DeviceState.RESERVED:
        port = next(user for user in users if user.view == "port")
        yield (
            f"port {port.port} of network {port.network} keeps it for {port.domain or port.domain_uuid}, which does not have it; "
            "`recover()`, then `audit()`, settle that"
        )
    company = [one for one in group if one.address != vf.address and not one.allows_company]
    if company:
        names = ", ".join(f"{one.address} (driver {one.driver})" for one in company)
        yield f"shares IOMMU group {vf.iommu_group} with {names}: VFIO refuses it while the host uses those"
    if vf.iommu_group is None:
        yield "in no IOMMU group, so VFIO cannot lend it; `doctor()` says why"
