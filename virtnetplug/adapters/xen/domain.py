"""One domain of libvirt's Xen driver, with what that driver does not say or do taken from xenstore and the toolstack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from virtnetplug import xml
from virtnetplug.adapters.xen.definition import lacks_targets, vif_of, vifs_of, with_targets
from virtnetplug.adapters.xen.limits import lacks
from virtnetplug.adapters.xen.toolstack import Toolstack
from virtnetplug.adapters.xen.watch import XenWatch, xen_watch
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
from virtnetplug.ports.domain import Domain, DomainState, Ends, Lack, Stray
from virtnetplug.ports.xen import Vif, VifDrivers, VifStore


@dataclass(frozen=True, slots=True)
class Dom0:
    """What is beside libvirt on the host; `store` is None where that is another host than this, or may not be asked."""

    store: VifStore | None
    drivers: VifDrivers | None
    toolstack: Toolstack


class XenDomain:
    """`ports.domain.Domain` on that of libvirt."""

    evicts_cleanly = True
    takes_by_force = True
    changes_in_place = False

    def __init__(self, inner: Domain, dom0: Dom0) -> None:
        self._inner, self._dom0 = inner, dom0
        self._run = -1
        self._processes: dict[int, str] = {}
        self._seen: Sequence[Vif] | None = None

    @property
    def name(self) -> str:
        """As libvirt has it."""
        return self._inner.name

    @property
    def uuid(self) -> str:
        """Lower case, with dashes."""
        return self._inner.uuid

    def state(self) -> DomainState:
        """libvirt's. The id is another after each boot of the guest."""
        return self._inner.state()

    def process(self) -> str:
        """Boot of dom0, id, and when it was made, as xenstore has it: ids begin anew after 32,751."""
        store, number = self._dom0.store, self._inner.state().id
        if store is None or number < 0:
            return ""
        if number not in self._processes:
            try:
                self._processes[number] = store.process(number)
            except XenStoreFailed:
                return ""
        return self._processes[number]

    def process_began(self) -> float | None:
        """When libxl made the domain, in Unix seconds (``start_time`` is ``time(2)`` with a fraction)."""
        made = self.process().rpartition(" ")[2]
        with suppress(ValueError):
            return float(made)
        return None

    def xml(self, half: Half) -> str:
        """libvirt's; the live one with the names of all links, as far as xenstore can be read."""
        text = self._inner.xml(half)
        if half is Half.CONFIG:
            return text
        run = xml.run_of(text)
        self._run, self._seen = -1 if run is None else run, None
        if self._dom0.store is None or not lacks_targets(text):
            return text
        try:
            return with_targets(text, self._vifs())
        except XenStoreFailed:
            return text

    def attach(self, element: str, half: Half) -> None:
        """``libxlDomainAttachNetDevice``. Its error may leave a vif that libvirt does not list: see `strays`."""
        self._inner.attach(element, half)

    def detach(self, alias: str, half: Half) -> None:
        """``libxlDomainDetachNetDevice``, by the element, as the driver knows no aliases; live, the NIC is gone when it returns.

        It fails where xenstore has nothing for it to remove, and then lists the NIC for ever: it is given something to remove. A vif without
        a driver is bound first, as libxl would wait 20 s for its backend, and end in the same way.
        """
        text = self._inner.xml(half)
        net = next((net for net in xml.devices(text).nets if net.alias == alias), None)
        if net is None:
            raise DeviceMissing(f"no device found with alias {alias} in the {half} definition of {self.name}")
        if half is Half.CONFIG or net.is_hostdev or self._dom0.store is None:
            self._inner.detach_element(net.element, half)
            return
        self._make_removable(net, text)
        try:
            self._inner.detach_element(net.element, half)
        except (DeviceMissing, DomainNotRunning, DomainMissing):
            raise
        except HypervisorFailed:
            if not self._make_removable(net, self._inner.xml(half)):
                raise
            self._inner.detach_element(net.element, half)

    def _make_removable(self, net: Interface, live_xml: str) -> bool:
        """Whether something had to be done before libvirt can remove it; what fails here, libvirt's answer will tell.

        Raises `NotSupported` if another vif than the NIC's has its MAC, by which ``libxl_mac_to_device_nic`` takes any of them, whoever's it is.
        """
        run = xml.run_of(live_xml)
        if self._dom0.store is None or run is None:
            return False
        with suppress(XenStoreFailed, HostDeviceFailed):
            vifs = [vif for vif in self._dom0.store.vifs(run) if vif.is_recorded]
            nets = xml.devices(live_xml).nets
            its = (vif for one, vif in zip(nets, vifs_of(nets, vifs), strict=True) if one.alias == net.alias)
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

    def detach_element(self, element: str, half: Half = Half.CONFIG) -> None:
        """``virDomainDetachDeviceFlags``."""
        self._inner.detach_element(element, half)

    def update(self, element: str, half: Half) -> None:
        """In the config, the old out and the new in, at the end: the driver updates disks only. Live, raises `NotSupported`."""
        if half is Half.LIVE:
            raise NotSupported(
                "libvirt's Xen driver changes nothing of a running guest's NIC; detach it and attach it as it should be"
            )
        new = xml.interface(element)
        old = next((net for net in xml.devices(self._inner.xml(half)).nets if net.mac == new.mac), None)
        if old is None:
            raise DeviceMissing(f"no device found with MAC {new.mac} in the definition of {self.name}")
        self._inner.detach_element(old.element, half)
        try:
            self._inner.attach(element, half)
        except HypervisorFailed:
            self._inner.attach(old.element, half)
            raise

    def metadata(self, half: Half) -> str | None:
        """libvirt's."""
        return self._inner.metadata(half)

    def set_metadata(self, half: Half, text: str | None) -> None:
        """libvirt's."""
        self._inner.set_metadata(half, text)

    def travelling(self) -> str | None:
        """libvirt's."""
        return self._inner.travelling()

    def set_travelling(self, text: str | None) -> None:
        """libvirt's."""
        self._inner.set_travelling(text)

    def saved_image(self) -> str | None:
        """libvirt's."""
        return self._inner.saved_image()

    def packets_sent(self, target: str) -> int:
        """``virDomainInterfaceStats``, which knows links by their definition's targets only: it fails for NICs that came later."""
        return self._inner.packets_sent(target)

    def await_idle(self) -> None:
        """``virDomainMemoryStats`` takes the domain's job here, too."""
        self._inner.await_idle()

    @contextmanager
    def watch(self) -> Iterator[XenWatch]:
        """Begin to collect this domain's events."""
        aliases: Mapping[str, str] = {}
        run = -1
        with suppress(DomainNotRunning, DomainMissing):
            text = self._inner.xml(Half.LIVE)
            found = xml.run_of(text)
            run = -1 if found is None else found
            aliases = {net.alias: net.mac for net in xml.glimpse(text) if net.alias is not None and net.mac is not None}
        with (
            self._inner.watch() as inner,
            xen_watch(inner, aliases, lambda: self._macs(run), self._dom0.store, run) as watch,
        ):
            yield watch

    def _macs(self, run: int) -> frozenset[str]:
        assert self._dom0.store is not None
        return frozenset(vif.mac for vif in self._dom0.store.vifs(run) if vif.mac is not None)

    def strays(self) -> Sequence[Stray]:
        """Vifs of the run that runs now, which are no NIC's of the live definition: ``xl`` put them in, or an attach failed half way."""
        return tuple(map(_stray, self._stray_vifs()))

    def _stray_vifs(self) -> Sequence[Vif]:
        try:
            text = self._inner.xml(Half.LIVE)
        except (DomainNotRunning, DomainMissing):
            return ()
        run = xml.run_of(text)
        if self._dom0.store is None or run is None:
            return ()
        vifs = self._dom0.store.vifs(run)
        known = vifs_of(xml.devices(text).nets, vifs)
        return [vif for vif in vifs if vif not in known]

    def evict(self, net: Interface) -> bool:
        """``xl network-detach`` of the strays that are its (`Stray.is_of`). Raises `XenStoreFailed` if one stays."""
        for vif in self._stray_vifs():
            if not _stray(vif).is_of(net):
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
        """As xenstore has them; None where it cannot be read."""
        try:
            vif = vif_of(self._vifs(), str(mac), target)
        except XenStoreFailed:
            return None
        if self._dom0.store is None:
            return None
        return Ends(None, None) if vif is None else Ends(vif.frontend, vif.backend)

    def lacks(self, net: Interface, actual_type: str) -> Sequence[Lack]:
        """See `limits`; whether the guest is paravirtual is taken from whichever definition there is."""
        return tuple(lacks(net, actual_type, is_pv=self._is_pv()))

    def _is_pv(self) -> bool:
        for half in (Half.LIVE, Half.CONFIG):
            with suppress(HypervisorFailed, DomainNotRunning, DomainMissing):
                return ">hvm</type>" not in self._inner.xml(half)
        return False

    def _vifs(self) -> Sequence[Vif]:
        """As of the last look at the live definition, which is now if there was none."""
        if self._seen is None:
            if self._run < 0:
                with suppress(DomainNotRunning, DomainMissing):
                    self.xml(Half.LIVE)
            store = self._dom0.store
            self._seen = store.vifs(self._run) if store is not None and self._run >= 0 else ()
        return self._seen


def _stray(vif: Vif) -> Stray:
    return Stray(vif.link, vif.mac, vif.bridge)
