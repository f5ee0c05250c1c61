"""Domains of libvirt's Xen driver, and the connection to it. xenstore and the toolstack show and do what that driver does not.

libvirt's Xen driver does not name the links of NICs that came while the guest ran.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

from virtnetplug import xml
from virtnetplug.adapters.xen.limits import PV_MODEL, lacks
from virtnetplug.adapters.xen.tools import NO_SCRIPT, Toolstack
from virtnetplug.adapters.xen.watch import XenWatch
from virtnetplug.errors import (
    DeviceMissing,
    DomainMissing,
    DomainNotRunning,
    HostDeviceFailed,
    HypervisorFailed,
    NotSupported,
    XenStoreFailed,
)
from virtnetplug.model.interface import Interface
from virtnetplug.model.mac import Mac
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain, DomainState, Ends, Hypervisor, Lack, Stray, Watch
from virtnetplug.ports.xen import Vif, VifDrivers, VifStore


@dataclass(frozen=True, slots=True)
class Dom0:
    """The host's own parts beside libvirt; `store` and `drivers` are None where dom0 is another host than this."""

    store: VifStore | None
    drivers: VifDrivers | None
    toolstack: Toolstack


class XenDomain:
    """`ports.domain.Domain` on libvirt's domain: what libvirt's Xen driver does well is taken as it is."""

    evicts_cleanly = True
    takes_by_force = True
    changes_in_place = False

    def __init__(self, inner: Domain, dom0: Dom0) -> None:
        self._inner, self._dom0, self._store = inner, dom0, dom0.store
        self.name, self.uuid, self.state = inner.name, inner.uuid, inner.state
        self.metadata, self.set_metadata, self.saved_image = inner.metadata, inner.set_metadata, inner.saved_image
        self.travelling, self.set_travelling = inner.travelling, inner.set_travelling
        # An error of libxlDomainAttachNetDevice may leave a vif that libvirt does not list: see `strays`.
        self.attach, self.detach_element = inner.attach, inner.detach_element
        # libvirt knows links by the definition's targets: it fails for NICs that came later.
        self.packets_sent = inner.packets_sent
        self.await_idle = inner.await_idle  # virDomainMemoryStats takes the domain's job here, too
        self._run: int | None = None
        self._processes: dict[int, str] = {}
        self._seen: Sequence[Vif] | None = None

    def process(self) -> str:
        """Boot of dom0, id, and time of creation, as xenstore has them: ids begin anew after 32,751."""
        number = self.state().id
        if self._store is None or number < 0:
            return ""
        if number not in self._processes:
            try:
                self._processes[number] = self._store.process(number)
            except XenStoreFailed:
                return ""
        return self._processes[number]

    def process_began(self) -> float | None:
        """When libxl made the domain, in Unix seconds (``start_time`` is ``time(2)`` with a fraction)."""
        with suppress(ValueError):
            return float(self.process().rpartition(" ")[2])
        return None

    def xml(self, half: Half) -> str:
        """libvirt's definition; the live one names all links, as far as xenstore can be read."""
        text = self._inner.xml(half)
        if half is Half.CONFIG:
            return text
        self._run, self._seen = xml.run_of(text), None
        if self._store is not None and any(net.target is None for net in xml.glimpse(text)):
            with suppress(XenStoreFailed):
                return _with_targets(text, self._vifs())
        return text

    def detach(self, alias: str, half: Half) -> None:
        """``libxlDomainDetachNetDevice``, by the element, as the driver knows no aliases; live, the NIC is gone when the call returns.

        libvirt fails where xenstore has nothing to remove, and then lists the NIC for ever: so something to remove is added. A vif without
        a driver is bound first, as libxl would wait 20 s for its backend, and fail in the same way.
        """
        text = self._inner.xml(half)
        net = next((net for net in xml.devices(text).nets if net.alias == alias), None)
        if net is None:
            raise DeviceMissing(f"no device found with alias {alias} in the {half} definition of {self.name}")
        if half is Half.CONFIG or net.is_hostdev or self._store is None:
            self.detach_element(net.element, half)
            return
        self._make_removable(net, text)
        try:
            self.detach_element(net.element, half)
        except (DeviceMissing, DomainNotRunning, DomainMissing):
            raise
        except HypervisorFailed:
            if not self._make_removable(net, self._inner.xml(half)):
                raise
            self.detach_element(net.element, half)

    def _make_removable(self, net: Interface, live_xml: str) -> bool:
        """Whether something had to be done before libvirt can remove the NIC; what fails here, libvirt's answer will show.

        Raises `NotSupported` if another vif than the NIC's has its MAC: ``libxl_mac_to_device_nic`` takes any vif with the MAC, whoever's it is.
        """
        run = xml.run_of(live_xml)
        if self._store is None or run is None:
            return False
        with suppress(XenStoreFailed, HostDeviceFailed):
            vifs = [vif for vif in self._store.vifs(run) if vif.is_recorded]
            nets = xml.devices(live_xml).nets
            its = (vif for one, vif in zip(nets, _vifs_of(nets, vifs), strict=True) if one.alias == net.alias)
            vif = next(its, None)
            others = [one.link for one in vifs if one.mac == str(net.mac) and one is not vif]
            if others:
                has = "no vif" if vif is None else vif.link
                raise NotSupported(
                    f"{net.alias} of {self.name} has {has}, and {', '.join(others)} has its MAC {net.mac}, too: libxl detaches by MAC and would take any one "
                    f"of them. Detach the one that is not meant to be there first: 'xl network-detach {self.name} NUMBER'."
                )
            if vif is None:
                self._dom0.toolstack.add_placeholder(run, str(net.mac))
                return True
            return self._bind(vif)
        return False

    def _bind(self, vif: Vif) -> bool:
        drivers = self._dom0.drivers
        if drivers is None or vif.backend_domain != 0 or vif.backend is None or drivers.is_bound(vif.name):
            return False
        drivers.bind(vif.name)
        return True

    def update(self, element: str, half: Half) -> None:
        """In the config, remove the old NIC and add the new NIC at the end: the driver updates disks only. Live, raises `NotSupported`."""
        if half is Half.LIVE:
            raise NotSupported(
                "libvirt's Xen driver changes nothing of a running guest's NIC; detach it and attach it as it should be"
            )
        new = xml.interface(element)
        old = next((net for net in xml.devices(self._inner.xml(half)).nets if net.mac == new.mac), None)
        if old is None:
            raise DeviceMissing(f"no device found with MAC {new.mac} in the definition of {self.name}")
        self.detach_element(old.element, half)
        try:
            self.attach(element, half)
        except HypervisorFailed:
            self.attach(old.element, half)
            raise

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """libvirt's events alone, if the domain does not run or this host is not its dom0."""
        text = self._live_xml()
        run = xml.run_of(text)
        with self._inner.watch() as inner, ExitStack() as stack:
            if self._store is None or run is None:
                yield inner
            else:
                nets = xml.glimpse(text)
                aliases = {net.alias: net.mac for net in nets if net.alias is not None and net.mac is not None}
                yield XenWatch(inner, aliases, self._store, run, stack)

    def _live_xml(self) -> str:
        with suppress(DomainNotRunning, DomainMissing):
            return self._inner.xml(Half.LIVE)
        return ""

    def strays(self) -> Sequence[Stray]:
        """Vifs of the current run that belong to no NIC of the live definition: ``xl`` made them, or an attach failed half way."""
        return tuple(stray for _, stray in self._stray_vifs())

    def _stray_vifs(self) -> Sequence[tuple[Vif, Stray]]:
        text = self._live_xml()
        run = xml.run_of(text)
        if self._store is None or run is None:
            return ()
        vifs = self._store.vifs(run)
        known = _vifs_of(xml.devices(text).nets, vifs)
        return [(vif, Stray(vif.link, vif.mac, vif.bridge)) for vif in vifs if vif not in known]

    def evict(self, net: Interface) -> bool:
        """``xl network-detach`` of the strays that may be the NIC's (`Stray.is_of`). Raises `XenStoreFailed` if one stays."""
        for vif, stray in self._stray_vifs():
            if not stray.is_of(net):
                continue
            if not vif.is_recorded:
                raise XenStoreFailed(
                    f"{vif.link} is in xenstore, but not in the toolstack's own records, so that only the end of the guest removes it"
                )
            with suppress(HostDeviceFailed):
                self._bind(vif)
            self._dom0.toolstack.remove(vif.domain_id, vif.number)
        return not any(stray.is_of(net) for stray in self.strays())

    def ends(self, mac: Mac | str | None, target: str | None = None) -> Ends | None:
        try:
            vifs = self._vifs()
        except XenStoreFailed:
            return None
        if self._store is None:
            return None
        vif = next((vif for vif in vifs if vif.mac == str(mac) and vif.has_link(target)), None)
        return Ends(None, None) if vif is None else Ends(vif.frontend, vif.backend)

    def lacks(self, net: Interface, actual_type: str) -> Sequence[Lack]:
        return tuple(lacks(net, actual_type, is_pv=self._is_pv()))

    def _is_pv(self) -> bool:
        for half in (Half.LIVE, Half.CONFIG):
            with suppress(HypervisorFailed, DomainNotRunning, DomainMissing):
                return ">hvm</type>" not in self._inner.xml(half)
        return False

    def _vifs(self) -> Sequence[Vif]:
        """As of the last look at the live definition, which is now if there was none."""
        if self._seen is None:
            if self._run is None:
                with suppress(DomainNotRunning, DomainMissing):
                    self.xml(Half.LIVE)
            self._seen = self._store.vifs(self._run) if self._store is not None and self._run is not None else ()
        return self._seen


def _with_targets(domain_xml: str, vifs: Sequence[Vif]) -> str:
    """`domain_xml` with ``<target dev=>`` in each NIC that has a vif."""
    nets = xml.devices(domain_xml).nets
    for net, vif in zip(nets, _vifs_of(nets, vifs), strict=True):
        if net.target_dev is None and vif is not None:
            element = xml.edit(net.element, {"target_dev": vif.link})
            domain_xml = domain_xml.replace(net.element, element, 1)
    return domain_xml


def _vifs_of(nets: Sequence[Interface], vifs: Sequence[Vif]) -> list[Vif | None]:
    """The vif of each NIC of one definition; no two NICs have the same vif.

    A NIC and its vif have the same MAC and the same name of the link. If the definition does not name the link, they have the same bridge.
    If a bridge is not known, the MAC decides. The bridge of a placeholder is another than the NIC's.
    """
    found: list[Vif | None] = [None] * len(nets)
    left = list(vifs)
    for certainty in (3, 2, 1):
        for index, net in enumerate(nets):
            if found[index] is None and not net.is_hostdev:
                its = (vif for vif in left if vif.mac == str(net.mac) and _likeness(vif, net) == certainty)
                found[index] = next(its, None)
                left = [vif for vif in left if vif is not found[index]]
    return found


def _likeness(vif: Vif, net: Interface) -> int:
    """How surely a vif with the NIC's MAC is the NIC's: by its link (3), by its bridge (2), perhaps (1), or not (0)."""
    if net.target_dev is not None:
        return 3 if vif.has_link(net.target_dev) else 0
    if vif.bridge is not None and vif.bridge == net.source_bridge:
        return 2
    return 1 if None in (vif.bridge, net.source_bridge) or vif.script == NO_SCRIPT else 0


class XenHypervisor:
    """`ports.domain.Hypervisor` on libvirt's connection; its domains are `XenDomain`.

    Lists leave out dom0, which libvirt lists as a domain: dom0 is the host.
    """

    def __init__(self, inner: Hypervisor, dom0: Dom0) -> None:
        self._inner, self._dom0 = inner, dom0
        self.uri, self.key, self.is_local = inner.uri, inner.key, inner.is_local
        self.close = inner.close

    def domain(self, name: str) -> XenDomain:
        return XenDomain(self._inner.domain(name), self._dom0)

    def domains(self) -> Iterable[XenDomain]:
        return self._guests(self._inner.domains())

    def running(self) -> Iterable[XenDomain]:
        return self._guests(self._inner.running())

    def _guests(self, domains: Iterable[Domain]) -> list[XenDomain]:
        return [XenDomain(domain, self._dom0) for domain in domains if not _is_host(domain.uuid)]

    def definitions(self) -> Iterable[tuple[XenDomain, DomainState]]:
        for domain, state in self._inner.definitions():
            if not _is_host(domain.uuid):
                yield XenDomain(domain, self._dom0), state

    def nic_models(self, domain_xml: str) -> frozenset[str] | None:
        """A paravirtual guest has ``netfront``; the models of another guest are its device model's, which is not asked."""
        return None if ">hvm</type>" in domain_xml else frozenset({PV_MODEL})


def _is_host(uuid: str) -> bool:
    """Whether this is dom0, whose UUID is all zeros (``libxlAddDom0``)."""
    return set(uuid) <= {"0", "-"}
