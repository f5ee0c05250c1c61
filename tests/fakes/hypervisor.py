"""A hypervisor in memory: it behaves as libvirt with QEMU was seen to, and runs the same contract suite as the real one."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import queue
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from lxml import etree

from tests.fakes.clock import FakeClock
from tests.fakes.host_devices import FakeHostDevices
from virtnetplug.adapters.daemon import key_from_uri
from virtnetplug.errors import (
    AliasTaken,
    BridgeMissing,
    ClaimTaken,
    DeviceMissing,
    DomainMissing,
    DomainNotRunning,
    DomainTransient,
    Failed,
    GuestBusy,
    HostDeviceBusy,
    HostDeviceUnfit,
    HypervisorFailed,
    NetworkInactive,
    NetworkMissing,
    NotSupported,
    PortForeign,
    VirtnetplugError,
)
from virtnetplug.model.host_device import NO_MAC, VFIO_DRIVER
from virtnetplug.model.interface import Interface, Vlan
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.operation import Half
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.domain import (
    FOR_MIGRATION,
    DomainState,
    Ends,
    GuestEvent,
    GuestEventKind,
    HowBegan,
    HowEnded,
    Lack,
    PowerState,
    RunEvents,
    Stray,
)
from virtnetplug.ports.host import Link, SwitchPort
from virtnetplug.xml.metadata import NAMESPACE, PREFIX, TRAVELLING, TRAVELLING_PREFIX

BLINKING = 5.0
"""Seconds that the power indicator of a native PCIe slot blinks before the device goes: a second press of the button ends it."""

_FIXED = ("model/@type", "mtu/@size", "mac/@address", "alias/@name", "driver/@queues", "boot/@order")
"""What qemuDomainChangeNet refuses to change."""


def _domain_xml(name: str, uid: str, machine: str) -> str:
    ports = ""
    if machine == "q35":
        ports = "<controller type='pci' index='0' model='pcie-root'/>" + "".join(
            f"<controller type='pci' index='{i}' model='pcie-root-port'>"
            f"<address type='pci' domain='0x0000' bus='0x00' slot='0x02' function='0x{i - 1:x}'/></controller>"
            for i in range(1, 9)
        )
    else:
        ports = "<controller type='pci' index='0' model='pci-root'/>"
    return (
        f"<domain type='qemu'><name>{name}</name><uuid>{uid}</uuid>"
        f"<os><type arch='x86_64' machine='{machine}'>hvm</type></os><devices>"
        f"<emulator>/usr/bin/qemu-system-x86_64</emulator>{ports}</devices></domain>"
    )


def _source_of(nic: etree._Element) -> PciAddress:
    return PciAddress(*_place_of(nic.find("source/address")))


def _place_of(address: etree._Element) -> tuple[int, int, int, int]:
    """A PCI address, however it is spelt."""
    domain, bus, slot, function = (int(address.get(part, "0"), 16) for part in ("domain", "bus", "slot", "function"))
    return domain, bus, slot, function


def _places(tree: etree._Element) -> set[tuple[int, int, int, int]]:
    return {_place_of(address) for address in tree.iterfind("devices/*/address[@type='pci']")}


def _drop_made_alias(nic: etree._Element) -> None:
    """``virDomainDeviceInfoParseXML``: an alias that does not begin with ``ua-`` is libvirt's own to give."""
    for alias in nic.findall("alias"):
        if not alias.get("name", "").startswith("ua-"):
            nic.remove(alias)


def _parts(address: PciAddress) -> dict[str, str]:
    return {
        "domain": f"0x{address.domain:04x}",
        "bus": f"0x{address.bus:02x}",
        "slot": f"0x{address.slot:02x}",
        "function": f"0x{address.function:x}",
    }


@dataclasses.dataclass(frozen=True)
class Image:
    """A saved guest: its live definition, without the aliases that libvirt made; and which NICs it was asked for and has not let go of."""

    live: etree._Element
    leaving: tuple[int, ...]


class FakeWatch(RunEvents):
    """`ports.domain.Watch`: to wait on it moves the host's clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self._events: queue.SimpleQueue[GuestEvent] = queue.SimpleQueue()

    def put(self, event: GuestEvent) -> None:
        self.hear(event)
        self._events.put(event)

    def next(self, timeout: float) -> GuestEvent | None:
        self._clock.sleep(max(timeout, 0.0), lambda: not self._events.empty())
        try:
            return self._events.get_nowait()
        except queue.Empty:
            return None


class FakeDomain:
    """`ports.domain.Domain`, with the knobs of the boot-sector guest: hold, resume, reset, destroy.

    Knobs of the guest: a guest that `holds` releases nothing, and a guest that `refuses` answers so. A guest that `blinks` releases a NIC
    after `BLINKING` seconds unless it is asked again meanwhile. A guest whose slot is `busy_until` (monotonic seconds) cannot be asked.

    Knobs of a wrong libvirt: a live attach silently leaves out the children `dropped`, or (`gives_nothing`) everything. An update that
    `changes_nothing` succeeds. A libvirt that is `behind` has DEVICE_DELETED still in its queue when it forgets a NIC. It takes the
    next NIC of that alias for the deleted NIC, unless somebody waits (`await_idle`).
    """

    def __init__(self, hypervisor: FakeHypervisor, name: str, *, machine: str = "pc", persistent: bool = True) -> None:
        self._hypervisor = hypervisor
        self._name, self._uuid = name, str(uuid.uuid4())
        self._config = etree.fromstring(_domain_xml(name, self._uuid, machine)) if persistent else None
        self._live: etree._Element | None = etree.fromstring(_domain_xml(name, self._uuid, machine))
        self._end = HowEnded.UNKNOWN
        self._begin(HowBegan.BOOTED)
        self._image: Image | None = None
        self._watches: list[FakeWatch] = []
        self._leaving: list[str] = []
        self._deleted: list[str] = []
        self._pressed: dict[str, int] = {}
        self._jobs: list[Callable[[], object]] = []
        self.holds = False
        self.refuses = False
        self.paused = False
        self.paused_reason = ""
        self.blinks = False
        self.busy_until = 0.0
        self.dropped: frozenset[str] = frozenset()
        self.gives_nothing = False
        self.changes_nothing = False
        self.behind = False
        self.sent: dict[str, int] = {}

    @property
    def name(self) -> str:
        return self._name

    @property
    def uuid(self) -> str:
        return self._uuid

    def state(self) -> DomainState:
        if self._live is None and self._config is None:
            raise DomainMissing(f"no domain {self._name}")
        power = PowerState.SHUTOFF if self._live is None else PowerState.PAUSED if self.paused else PowerState.RUNNING
        return DomainState(
            power=power,
            id=self._id if self._live is not None else -1,
            persistent=self._config is not None,
            paused_reason=self.paused_reason if power is PowerState.PAUSED else "",
            end=self._end if self._live is None else HowEnded.UNKNOWN,
            began=HowBegan.UNKNOWN if self._live is None else self._began,
        )

    def process(self) -> str:
        return "" if self._live is None else self._process

    def process_began(self) -> float | None:
        return None if self._live is None else self._process_began

    def _begin(self, began: HowBegan) -> None:
        self._id, self._process = next(self._hypervisor.ids), self._hypervisor.new_process()
        self._began, self._process_began = began, self._hypervisor.clock.now()

    def xml(self, half: Half) -> str:
        text = etree.tostring(self._tree(half), encoding="unicode")
        return text if half is Half.CONFIG else text.replace("<domain ", f"<domain id='{self._id}' ", 1)

    def attach(self, element: str, half: Half) -> None:
        tree, nic = self._tree(half), etree.fromstring(element)
        _drop_made_alias(nic)
        alias = nic.find("alias")
        if alias is not None and self._find(half, alias.get("name", "")) is not None:
            raise AliasTaken(f"unsupported configuration: non unique alias detected: {alias.get('name')}")
        if (place := nic.find("address")) is None:
            self._place(tree, nic)
        elif _place_of(place) in _places(tree):
            raise HypervisorFailed(f"XML error: Attempted double use of PCI Address {PciAddress(*_place_of(place))}")
        if half is Half.LIVE:
            if self.gives_nothing:
                return
            for child in [child for child in nic if child.tag in self.dropped]:
                nic.remove(child)
            self._hypervisor.plug(nic, self._uuid)
            self._name_alias(nic)
        nic.tail = None
        devices = tree.find("devices")
        assert devices is not None
        devices.append(nic)
        if half is Half.LIVE:
            self._process_deleted()

    def _name_alias(self, nic: etree._Element) -> None:
        """``qemuAssignDeviceNetAlias``, ``qemuAssignDeviceHostdevAlias``: the number after the highest."""
        if nic.find("alias") is None:
            prefix = "hostdev" if nic.get("type") == "hostdev" else "net"
            aliases = self._tree(Half.LIVE).iterfind("devices/*/alias")
            numbers = [alias.get("name", "").removeprefix(prefix) for alias in aliases]
            highest = max((int(number) for number in numbers if number.isdecimal()), default=-1)
            etree.SubElement(nic, "alias", name=f"{prefix}{highest + 1}")

    def detach(self, alias: str, half: Half) -> None:
        nic = self._find(half, alias)
        if nic is None:
            raise DeviceMissing(f"internal error: no device found with alias {alias}")
        if half is Half.CONFIG:
            nic.getparent().remove(nic)
            return
        if (now := self._hypervisor.clock.monotonic()) < self.busy_until:
            raise GuestBusy(f"the slot of {alias} is busy for {self.busy_until - now:.1f} s")
        if alias in self._deleted:
            self._remove(alias)  # ``qemuDomainDetachDeviceLive``: QEMU has it no more, so it is forgotten at once
            return
        if self.blinks:
            self._press(alias)
            return
        self._leaving.append(alias)
        if self.refuses:
            self._leaving = [other for other in self._leaving if other != alias]  # it answers all that it was asked
            self._tell(GuestEvent(GuestEventKind.REMOVAL_FAILED, alias))
        elif not self.holds and not self.paused:
            self._let_go()

    def detach_element(self, element: str) -> None:
        nic = self._like(Half.CONFIG, etree.fromstring(element))
        nic.getparent().remove(nic)

    def update(self, element: str, half: Half) -> None:
        new = etree.fromstring(element)
        if self.changes_nothing:
            return
        if half is Half.CONFIG:
            _drop_made_alias(new)
        old = self._like(half, new)
        if half is Half.LIVE and new.find("alias") is None and (alias := old.find("alias")) is not None:
            new.append(copy.deepcopy(alias))
        if half is Half.LIVE:
            if old.get("type") == "hostdev":
                raise HypervisorFailed(
                    "Operation not supported: cannot modify network device of type 'hostdev'", code=84
                )
            for path in _FIXED:
                if old.xpath(path) != new.xpath(path):
                    raise HypervisorFailed(f"Operation not supported: cannot modify network device {path}", code=84)
            self._hypervisor.unplug(old)
            for path in ("target", "address"):
                for stale in new.findall(path):
                    new.remove(stale)
                if (kept := old.find(path)) is not None:
                    new.append(copy.deepcopy(kept))
            self._hypervisor.plug(new, self._uuid)
        elif new.find("address") is None and old.find("address") is not None:
            new.append(copy.deepcopy(old.find("address")))
        new.tail = old.tail
        old.getparent().replace(old, new)

    def metadata(self, half: Half) -> str | None:
        return self._metadata(half, NAMESPACE)

    def set_metadata(self, half: Half, text: str | None) -> None:
        self._set_metadata(half, text, NAMESPACE, PREFIX)

    def travelling(self) -> str | None:
        return self._metadata(Half.LIVE, TRAVELLING)

    def set_travelling(self, text: str | None) -> None:
        self._set_metadata(Half.LIVE, text, TRAVELLING, TRAVELLING_PREFIX)

    def _metadata(self, half: Half, namespace: str) -> str | None:
        """``virXMLExtractNamespaceXML``: a copy, with no namespace left on what had ours."""
        kept = self._kept(half, namespace)
        if not kept:
            return None
        node = copy.deepcopy(kept[0])
        for each in node.iter(f"{{{namespace}}}*"):
            each.tag = etree.QName(each).localname
        etree.cleanup_namespaces(node)
        node.tail = None
        return etree.tostring(node, encoding="unicode")

    def _set_metadata(self, half: Half, text: str | None, namespace: str, prefix: str) -> None:
        """``virDomainDefSetMetadata`` and ``virXMLInjectNamespace``: whatever has no namespace gets ours."""
        tree, kept = self._tree(half), self._kept(half, namespace)
        if text:
            new = etree.fromstring(text)
            if prefix in new.nsmap:
                raise HypervisorFailed("internal error: failed to create a new XML namespace", code=1)
            node = etree.Element(f"{{{namespace}}}{new.tag}", attrib=dict(new.attrib), nsmap={prefix: namespace})
            node.text = new.text
            node.extend(new)
            for each in node.iter(etree.Element):
                if etree.QName(each).namespace is None:
                    each.tag = f"{{{namespace}}}{each.tag}"
            place = tree.find("metadata")
            if place is None:
                place = etree.Element("metadata")
                tree.insert(2, place)  # after name and uuid
            place.append(node)
        for old in kept:
            old.getparent().remove(old)
        if (place := tree.find("metadata")) is not None and not len(place):
            tree.remove(place)

    def _kept(self, half: Half, namespace: str) -> list[etree._Element]:
        return self._tree(half).findall(f"metadata/{{{namespace}}}*")

    def packets_sent(self, target: str) -> int:
        return self.sent.get(target, 0)

    def evict(self, net: Interface) -> bool:
        return True

    evicts_cleanly = False
    takes_by_force = False
    changes_in_place = True

    def strays(self) -> Sequence[Stray]:
        return ()

    def ends(self, mac: Mac | str | None, target: str | None = None) -> Ends | None:
        return None

    def lacks(self, net: Interface, actual_type: str) -> Sequence[Lack]:
        return ()

    def await_idle(self) -> None:
        """Behind the job of whoever changes the domain, and behind the events that libvirt has not looked at yet."""
        while self._jobs:
            self._jobs.pop(0)()
        self._process_deleted()

    @contextmanager
    def watch(self) -> Iterator[FakeWatch]:
        watch = FakeWatch(self._hypervisor.clock)
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)

    # -- what the guest does ----------------------------------------------------------------------

    def hold(self) -> None:
        self.holds = True

    def resume(self) -> None:
        self.holds = False
        self._let_go()

    def reset(self) -> None:
        self._let_go()

    def let_go(self, alias: str) -> None:
        """Release this NIC alone."""
        self._leaving.remove(alias)
        self._remove(alias)

    def go_on(self, act: Callable[[], object], *, seconds: float = 1.0) -> None:
        """A call whose client is dead: it goes on under the domain's job, and ends after so many seconds, or when somebody waits for it."""

        def end() -> None:
            if act in self._jobs:
                self._jobs.remove(act)
                act()

        self._jobs.append(act)
        self._hypervisor.clock.after(seconds, end)

    def restart(self) -> None:
        """Another run: what the definition has is in it, under the same aliases."""
        self.destroy()
        self.start()

    def destroy(self) -> None:
        self.stop(HowEnded.DESTROYED)

    def shut_down(self) -> None:
        """By itself."""
        self.stop(HowEnded.SHUT_DOWN)

    def crash(self) -> None:
        self.stop(HowEnded.CRASHED)

    def stop(self, how: HowEnded) -> None:
        for nic in list(self._tree(Half.LIVE).iterfind("devices/interface")):
            self._hypervisor.unplug(nic)
        self._live, self._leaving, self._deleted = None, [], []
        if self.paused_reason == FOR_MIGRATION:
            self.paused, self.paused_reason = False, ""
        self._end = how
        self._tell(GuestEvent(GuestEventKind.ENDED, end=how))

    def save(self) -> Image:
        """``virsh save``: the guest goes on when the image is restored, with what it was asked."""
        image = self.copy_image()
        self.stop(HowEnded.SAVED)
        return image

    def managed_save(self) -> None:
        self._image = self.save()

    def define_as_it_runs(self) -> None:
        """``virsh dumpxml`` and ``virsh define``: the definition has what the guest has, its metadata too."""
        self._config = copy.deepcopy(self._tree(Half.LIVE))
        for nic in self._config.iterfind("devices/interface"):
            if (target := nic.find("target")) is not None:
                nic.remove(target)

    def define(self, elements: Sequence[str]) -> None:
        """``virsh undefine`` and ``virsh define``: the same name and UUID, other NICs, and no metadata."""
        machine = (
            self._tree(Half.CONFIG if self._config is not None else Half.LIVE).find("os/type").get("machine", "pc")
        )
        self._config = etree.fromstring(_domain_xml(self._name, self._uuid, machine))
        for element in elements:
            self.attach(element, Half.CONFIG)

    def forget_image(self) -> None:
        """``virsh managedsave-remove``."""
        self._image = None

    def restore(self, image: Image, *, has_migrated: bool = False) -> None:
        """``virsh restore``, and the other end of a migration: another process, the same guest."""
        assert self._live is None
        live = copy.deepcopy(image.live)
        for nic in live.iterfind("devices/interface"):
            if (target := nic.find("target")) is not None:
                nic.remove(target)
            self._hypervisor.plug(nic, self._uuid)
        self._live = live
        nics = self.live_nics()
        for nic in nics:
            self._name_alias(nic)
        self._leaving = [nics[place].find("alias").get("name") for place in image.leaving]
        self._begin(HowBegan.MIGRATED if has_migrated else HowBegan.RESTORED)
        for watch in self._watches:
            watch.go_on()
        if not self.holds and not self.paused:
            self._let_go()

    def migrate(self, target: FakeHypervisor) -> FakeDomain:
        """Live, with ``--persistent``; its definition stays here, as without ``--undefinesource``."""
        image = self.copy_image()
        there = target.all.get(self._name)
        if there is None:
            there = target.all[self._name] = FakeDomain.__new__(FakeDomain)
            there.__dict__.update(
                self.__dict__,
                _hypervisor=target,
                _config=copy.deepcopy(self._config),
                _watches=[],
                _jobs=[],
                _deleted=[],
                _live=None,
            )
        self.stop(HowEnded.MIGRATED)
        there.holds = self.holds
        there.restore(image, has_migrated=True)
        return there

    def rename(self, name: str) -> None:
        """``virsh domrename``, of a domain that does not run."""
        assert self._live is None and self._config is not None
        self._hypervisor.all[name] = self._hypervisor.all.pop(self._name)
        self._name = name
        node = self._config.find("name")
        assert node is not None
        node.text = name

    def undefine(self) -> None:
        """A domain that does not run is no more."""
        self._config = self._image = None
        if self._live is None:
            self._hypervisor.all.pop(self._name, None)
            self._tell(GuestEvent(GuestEventKind.ENDED))

    def redefine(self) -> None:
        """``virsh undefine`` and ``virsh define`` of what it was, without metadata."""
        config = copy.deepcopy(self._tree(Half.CONFIG))
        for metadata in config.findall("metadata"):
            config.remove(metadata)
        self.undefine()
        self._config = config
        self._hypervisor.all[self._name] = self

    def forget_end(self) -> None:
        self._end = HowEnded.UNKNOWN

    def stay_between_hosts(self) -> None:
        """The client of a migration dies between its last two steps: this half stays paused, and the guest runs on the other host, or nowhere."""
        self.paused, self.paused_reason = True, FOR_MIGRATION
        for watch in self._watches:
            watch.is_between_hosts = True

    def run_again(self) -> None:
        """``virsh resume`` of a half that is not on another host."""
        self.paused, self.paused_reason = False, ""
        for watch in self._watches:
            watch.is_between_hosts = False

    def pause_and_go_on(self) -> None:
        """``virsh suspend`` and ``virsh resume``: libvirt keeps one reason, and forgets that the guest was booted or restored."""
        self._began = HowBegan.UNKNOWN

    def copy_image(self) -> Image:
        """The memory of a snapshot, which is taken while the guest runs."""
        live = copy.deepcopy(self._tree(Half.LIVE))
        nics = live.findall("devices/interface")
        leaving = [place for place, nic in enumerate(nics) if nic.find("alias").get("name") in self._leaving]
        for nic in nics:
            _drop_made_alias(nic)
        return Image(live, tuple(leaving))

    def saved_image(self) -> str | None:
        return None if self._image is None else etree.tostring(self._image.live, encoding="unicode")

    def start(self) -> None:
        """``qemuProcessStart``: a start that fails has let go of all that it had plugged (``qemuProcessStop``). A managed image is restored."""
        assert self._config is not None and self._live is None
        if self._image is not None:
            image, self._image = self._image, None
            self.restore(image)
            return
        live = copy.deepcopy(self._config)
        plugged: list[etree._Element] = []
        for nic in live.iterfind("devices/interface"):
            try:
                self._hypervisor.plug(nic, self._uuid)
            except VirtnetplugError:
                for other in reversed(plugged):
                    self._hypervisor.unplug(other)
                raise
            plugged.append(nic)
        self._live = live
        self._begin(HowBegan.BOOTED)
        for nic in plugged:
            self._name_alias(nic)

    def live_nics(self) -> Sequence[etree._Element]:
        return [] if self._live is None else list(self._live.iterfind("devices/interface"))

    def _let_go(self) -> None:
        leaving, self._leaving = self._leaving, []
        if self.behind:
            self._deleted += leaving
            return
        for alias in leaving:
            self._remove(alias)

    def _remove(self, alias: str) -> None:
        nic = self._find(Half.LIVE, alias)
        if nic is not None:
            self._hypervisor.unplug(nic)
            nic.getparent().remove(nic)
            self._tell(GuestEvent(GuestEventKind.REMOVED, alias))

    def _process_deleted(self) -> None:
        """``processDeviceDeletedEvent``: whatever has that alias now is removed."""
        deleted, self._deleted = self._deleted, []
        for alias in deleted:
            self._remove(alias)

    def _press(self, alias: str) -> None:
        """The attention button of a native PCIe slot."""
        if alias in self._leaving:
            self._leaving.remove(alias)
            return

        def go() -> None:
            if alias in self._leaving and self._pressed.get(alias) == press:
                self._leaving.remove(alias)
                self._remove(alias)

        press = self._pressed[alias] = self._pressed.get(alias, 0) + 1
        self._leaving.append(alias)
        self._hypervisor.clock.after(BLINKING, go)

    def _tell(self, event: GuestEvent) -> None:
        for watch in self._watches:
            watch.put(event)

    def _tree(self, half: Half) -> etree._Element:
        if half is Half.LIVE:
            if self._live is None:
                raise DomainNotRunning(f"domain {self._name} is not running")
            return self._live
        if self._config is None:
            raise DomainTransient(f"domain {self._name} is transient")
        return self._config

    def _find(self, half: Half, alias: str) -> etree._Element | None:
        for nic in self._tree(half).iterfind("devices/interface"):
            named = nic.find("alias")
            if named is not None and named.get("name") == alias:
                return nic
        return None

    def _like(self, half: Half, new: etree._Element) -> etree._Element:
        """``virDomainNetFindIdx``: by MAC, and by guest address and alias where both say one."""
        mac, place, alias = new.find("mac").get("address"), new.find("address"), new.find("alias")
        for nic in self._tree(half).iterfind("devices/interface"):
            its_place, its_alias = nic.find("address"), nic.find("alias")
            is_there = place is None or its_place is None or _place_of(place) == _place_of(its_place)
            is_called = alias is None or its_alias is None or alias.get("name") == its_alias.get("name")
            if nic.find("mac").get("address") == mac and is_there and is_called:
                return nic
        raise DeviceMissing(f"no device found matching MAC address {mac}")

    def _place(self, tree: etree._Element, nic: etree._Element) -> None:
        used = {(f"0x{bus:02x}", f"0x{slot:02x}") for _, bus, slot, _ in _places(tree)}
        is_pcie = tree.find("devices/controller[@model='pcie-root']") is not None
        places = (
            [(f"0x{b:02x}", "0x00") for b in range(1, 9)] if is_pcie else [("0x00", f"0x{s:02x}") for s in range(2, 32)]
        )
        free = next((place for place in places if place not in used), None)
        if free is None:
            raise HypervisorFailed("internal error: No more available PCI slots")
        etree.SubElement(nic, "address", type="pci", domain="0x0000", bus=free[0], slot=free[1], function="0x0")


class FakeHypervisor:
    """`ports.domain.Hypervisor`, `ports.host.Networks` and `ports.host.HostLinks` of one imaginary host.

    A host that gets `devices` also has VFs: NICs of type hostdev, and pools of VFs, behave as libvirt makes them. `clock` is the host's.
    """

    uri = "fake:///host"
    key = str(key_from_uri(uri))
    is_local = True

    def __init__(self, devices: FakeHostDevices | None = None, clock: FakeClock | None = None) -> None:
        self.devices = devices or FakeHostDevices()
        self.clock = clock or FakeClock()
        self._before: dict[PciAddress, dict[str, object]] = {}
        self._allocated: dict[PciAddress, str] = {}
        self.counted: dict[PciAddress, str] = {}
        """Devices that libvirt counts as a domain's, whoever has them: see `faults.miscounted`."""
        self.ids = itertools.count(1)
        self.boot = 1
        self._pids = itertools.count(1000)
        self._taps = itertools.count(0)
        self._ports = itertools.count(1)
        self.all: dict[str, FakeDomain] = {}
        self.bridges: dict[str, set[str]] = {}
        self.switches: dict[str, dict[str, SwitchPort]] = {}
        """Open vSwitch's bridges, with what was set of their ports beside libvirt's attach."""
        self.taps: dict[str, str] = {}
        """Each tap with the UUID of the domain whose QEMU has it."""
        self.isolated: set[str] = set()
        self.only_macs: dict[str, str] = {}
        self.vlans: dict[str, Vlan] = {}
        """The VLANs of Linux bridges' ports that were set beside libvirt's attach."""
        self.introduced: list[tuple[str, str]] = []
        self.macs: dict[str, str] = {}
        """The port behind which a bridge has learnt each MAC; guests here send nothing, so a test sets it."""
        self.forgotten: list[tuple[str, str]] = []
        self.nets: dict[str, Network] = {}
        self.net_ports: dict[str, NetworkPort] = {}

    # -- making -----------------------------------------------------------------------------------

    def add(self, name: str, **options: object) -> FakeDomain:
        self.all[name] = FakeDomain(self, name, **options)  # type: ignore[arg-type]
        return self.all[name]

    def new_process(self) -> str:
        return f"boot{self.boot} {next(self._pids)} 1"

    def restart_daemon(self) -> None:
        """libvirtd: it forgets how domains ended."""
        for domain in self.all.values():
            domain.forget_end()

    def reboot(self) -> None:
        """The host: every guest has ended, and ids begin anew."""
        for domain in self.all.values():
            if domain.state().is_active:
                domain.destroy()
        self.restart_daemon()
        self.boot, self.ids, self._pids = self.boot + 1, itertools.count(1), itertools.count(1000)

    def add_bridge(self, name: str) -> str:
        self.bridges[name] = set()
        return name

    def add_switch(self, name: str) -> str:
        """An Open vSwitch bridge; one of that name is made anew, and has no port."""
        self.switches[name] = {}
        return self.add_bridge(name)

    def add_network(self, network: Network) -> Network:
        self.nets[network.name] = network
        if network.bridge is not None:
            self.bridges.setdefault(network.bridge, set())
        return network

    def stop_network(self, name: str) -> None:
        """``net-destroy``: its ports are gone, and its bridge with it; taps stay, in nothing."""
        self.nets[name] = dataclasses.replace(self.nets[name], active=False)
        self.net_ports = {uuid: port for uuid, port in self.net_ports.items() if port.network != name}
        for tap in self.bridges.pop(self.nets[name].bridge or "", set()):
            self._leave(tap)

    def start_network(self, name: str) -> None:
        """``net-start``."""
        self.nets[name] = dataclasses.replace(self.nets[name], active=True)
        self.add_bridge(self.nets[name].bridge or "")

    def _leave(self, tap: str) -> None:
        for taps in self.bridges.values():
            taps.discard(tap)
        for ports in self.switches.values():
            ports.pop(tap, None)
        self.isolated.discard(tap)
        self.only_macs.pop(tap, None)
        self.vlans.pop(tap, None)

    # -- plugging, as libvirt does inside attach and detach ------------------------------------------

    def plug(self, nic: etree._Element, owner: str) -> None:
        """Make its host end; where that fails nothing is left of it (``networkReleaseActualDevice``)."""
        before = dict(self.net_ports), dict(self._allocated)
        try:
            self._plug(nic, owner)
        except VirtnetplugError:
            self.net_ports, self._allocated = before
            raise

    def _plug(self, nic: etree._Element, owner: str) -> None:
        if nic.get("type") in ("user", "vdpa"):
            return  # QEMU's own, and a device that QEMU opens itself
        source = nic.find("source")
        assert source is not None
        bridge = source.get("bridge")
        if nic.get("type") == "hostdev":
            self._lend(nic, owner)
            return
        if nic.get("type") == "network":
            network = self.network(source.get("network", ""))
            if not network.active:
                raise HypervisorFailed(
                    f"Requested operation is not valid: network '{network.name}' is not active", code=55
                )
            if network.forward == "hostdev":
                self._allocate(nic, network, owner)
                self._lend(nic, owner)
                return
            bridge = network.bridge
            number = next(self._ports)
            port = f"00000000-0000-4000-8000-{number:012d}"
            mac = nic.find("mac")
            self.net_ports[port] = NetworkPort(
                uuid=port, network=network.name, owner_uuid=owner, bridge=bridge,
                mac=Mac(mac.get("address")) if mac is not None else None,
            )  # fmt: skip
            source.set("portid", port)
            source.set("bridge", bridge or "")
        if bridge not in self.bridges:
            raise HypervisorFailed(f"Cannot get interface MTU on '{bridge}': No such device", code=38)
        target = nic.find("target")
        if target is None:
            target = etree.SubElement(nic, "target", dev=f"vnet{next(self._taps)}")
        self.bridges[bridge].add(target.get("dev"))
        self.taps[target.get("dev")] = owner
        if nic.find("port[@isolated='yes']") is not None:
            self.isolated.add(target.get("dev"))

    def number_taps(self, first: int) -> None:
        """The next tap is called by that number, if no link is."""
        self._taps = itertools.count(first)

    def unplug(self, nic: etree._Element) -> None:
        source, target = nic.find("source"), nic.find("target")
        if nic.get("type") == "hostdev":
            self._take_back(nic)
            return
        if source is not None:
            self.net_ports.pop(source.attrib.pop("portid", ""), None)
        if target is None:
            return
        self._leave(target.get("dev"))
        self.taps.pop(target.get("dev"), None)

    # -- assigned devices, as virHostdevPreparePCIDevices and networkAllocatePort do ------------------

    def _lend(self, nic: etree._Element, owner: str) -> None:
        address = _source_of(nic)
        user = self.counted.get(address) or self._user_of(address) or (owner if address in self._before else None)
        if user is not None:
            raise HostDeviceBusy(
                f"Requested operation is not valid: PCI device {address} is in use by driver QEMU, domain {user}"
            )
        if address not in self.devices.found:
            raise HypervisorFailed(f"Device {address} not found: could not access its config space", code=99)
        if nic.get("managed") == "yes":
            self.devices.bind(address, VFIO_DRIVER)
        elif self.devices.found[address].driver != VFIO_DRIVER:
            raise HypervisorFailed(
                f"Requested operation is not valid: Unmanaged PCI device {address} must be manually detached from the host",
                code=55,
            )
        now, tag = self.devices.set[address], nic.find("vlan/tag")
        self._before[address] = {"admin_mac": now.admin_mac, "vlan": now.vlan}
        mac = nic.find("mac")
        self.devices.set_by_hand(
            address,
            admin_mac=NO_MAC if mac is None else mac.get("address"),
            vlan=int(tag.get("id")) if tag is not None else 0,
        )
        self.devices.held[address] = {1000 + next(self.ids)}

    def _take_back(self, nic: etree._Element) -> None:
        address = _source_of(nic)
        self.devices.held.pop(address, None)
        before = self._before.pop(address, {})
        self.net_ports.pop(self._allocated.pop(address, ""), None)
        if address not in self.devices.found:
            return  # numvfs was changed under it
        self.devices.set_by_hand(address, **before)
        if nic.get("managed") == "yes":
            self.devices.reattach(address)

    def _allocate(self, nic: etree._Element, network: Network, owner: str) -> None:
        """The first device without a port: one attached by address is not known here, and is lent again."""
        taken = {port.host_address for port in self.ports(network.name)}
        free = next((address for address in self._pool(network) if address not in taken), None)
        if free is None:
            raise HypervisorFailed(
                f"internal error: network '{network.name}' requires exclusive access to interfaces, but none are available",
                code=1,
            )
        mac = nic.find("mac").get("address")
        self._allocated[free] = f"00000000-0000-4000-8000-{next(self._ports):012d}"
        self.create_port(
            NetworkPort(
                uuid=self._allocated[free], network=network.name, owner_uuid=owner, mac=Mac(mac), managed=network.managed,
                host_address=free,
            )
        )  # fmt: skip
        nic.set("type", "hostdev")
        nic.set("managed", "yes" if network.managed else "no")
        old = nic.find("source")
        old.attrib.clear()
        etree.SubElement(old, "address", type="pci", **_parts(free))

    def _pool(self, network: Network) -> Sequence[PciAddress]:
        if network.addresses:
            return network.addresses
        pf = next((one for one in self.devices.found.values() if one.total_vfs and one.netdev == network.pf), None)
        return [] if pf is None else sorted(one.address for one in self.devices.found.values() if one.pf == pf.address)

    def _user_of(self, address: PciAddress) -> str | None:
        for domain in self.all.values():
            for nic in domain.live_nics():
                if nic.get("type") == "hostdev" and _source_of(nic) == address:
                    return domain.name
        return None

    # -- Hypervisor ---------------------------------------------------------------------------------

    def domain(self, name: str) -> FakeDomain:
        for domain in self.all.values():
            if name in (domain.name, str(domain.state().id)) or name.lower().replace("-", "") == domain.uuid.replace(
                "-", ""
            ):
                domain.state()
                return domain
        raise DomainMissing(f"no domain called '{name}'")

    def domains(self) -> Iterable[FakeDomain]:
        return list(self.all.values())

    def running(self) -> Iterable[FakeDomain]:
        return [domain for domain in self.all.values() if domain.state().is_active]

    def definitions(self) -> Iterable[tuple[FakeDomain, DomainState]]:
        return [(domain, domain.state()) for domain in self.all.values()]

    def nic_models(self, domain_xml: str) -> frozenset[str] | None:
        return frozenset({"virtio", "e1000", "e1000e", "rtl8139"})

    def close(self) -> None:
        return

    # -- Networks -----------------------------------------------------------------------------------

    def network(self, name: str) -> Network:
        if name not in self.nets:
            raise NetworkMissing(f"there is no network called '{name}'")
        return self.nets[name]

    def names(self) -> Sequence[str]:
        return sorted(self.nets)

    def ports(self, name: str) -> Sequence[NetworkPort]:
        return [port for port in self.net_ports.values() if port.network == name]

    def port_uuids(self, name: str) -> frozenset[str]:
        return frozenset(port.uuid for port in self.ports(name))

    def create_port(self, port: NetworkPort) -> NetworkPort:
        pool, address = self.network(port.network), port.host_address
        if not pool.active:
            raise NetworkInactive(f"network {pool.name} is not active")
        if pool.forward != "hostdev":
            raise NotSupported(f"network {pool.name} is no pool of PCI devices")
        if address not in self._pool(pool):
            raise HostDeviceUnfit(f"network {pool.name} does not have the device {address}")
        for other in self.net_ports.values():
            if other.host_address == address and other.uuid != port.uuid:
                raise ClaimTaken(f"{address} is in use: a port of network {pool.name} holds it")
        self.net_ports[port.uuid] = dataclasses.replace(port, plug_type="hostdev-pci")
        return self.net_ports[port.uuid]

    def port(self, network: str, uuid: str) -> NetworkPort | None:
        return next((port for port in self.ports(self.network(network).name) if port.uuid == uuid), None)

    def restore_port(self, net: Interface, *, owner_uuid: str, owner_name: str) -> NetworkPort:
        network, uuid = self.network(net.source_network or ""), net.source_portid or ""
        if not network.active:
            raise NetworkInactive(f"network {network.name} is not active")
        there = self.port(network.name, uuid)
        if there is not None and (there.mac, there.owner_uuid) != (net.mac, owner_uuid):
            raise PortForeign(f"port {uuid} is there already for {there.mac}, not for {net.mac}")
        self.net_ports[uuid] = there or NetworkPort(
            uuid=uuid, network=network.name, owner_uuid=owner_uuid, owner_name=owner_name, mac=net.mac,
            bridge=network.bridge,
        )  # fmt: skip
        return self.net_ports[uuid]

    def restart(self, name: str) -> None:
        network = self.network(name)
        if self.ports(name):
            raise Failed(f"network {name} has ports", reason="network-in-use")
        pf = next(one for one in self.devices.found.values() if one.total_vfs and one.netdev == network.pf)
        vfs = tuple(one.address for one in self.devices.found.values() if one.pf == pf.address)
        self.nets[name] = dataclasses.replace(network, addresses=vfs)

    def delete_port(self, network: str, uuid: str) -> None:
        if uuid in self.port_uuids(self.network(network).name):
            del self.net_ports[uuid]

    # -- HostLinks ----------------------------------------------------------------------------------

    def links(self) -> dict[str, Link]:
        kinds = {name: "openvswitch" if name in self.switches else "bridge" for name in self.bridges}
        found = {name: Link(name=name, index=1, kind=kind, up=True) for name, kind in kinds.items()}
        found.update({tap: Link(name=tap, index=2, kind="tun", up=True) for tap in self.taps})
        for bridge, taps in self.bridges.items():
            for tap in taps:
                flags = (
                    (tap in self.isolated, tap not in self.only_macs) if bridge not in self.switches else (None, None)
                )
                found[tap] = Link(
                    name=tap, index=2, kind="tun", master=bridge, up=True, isolated=flags[0], learning=flags[1]
                )
        return found

    def link(self, name: str) -> Link | None:
        return self.links().get(name)

    def is_bridge(self, name: str) -> bool:
        return name in self.bridges

    def set_master(self, name: str, master: str | None) -> None:
        if master is not None and (master not in self.bridges or master in self.switches):
            raise BridgeMissing(f"There is no Linux bridge '{master}' on this host")
        if any(name in self.bridges[switch] for switch in self.switches):
            raise Failed(
                f"The kernel would not take '{name}' from its datapath: Operation not supported", reason="link-not-set"
            )
        self._leave(name)
        if master is not None:
            self.bridges[master].add(name)

    def join_switch(self, name: str, bridge: str, port: SwitchPort) -> None:
        linux = [taps for one, taps in self.bridges.items() if one not in self.switches]
        if bridge not in self.switches or any(name in taps for taps in linux):
            raise Failed(f"Open vSwitch would not put '{name}' into '{bridge}'", reason="link-not-set")
        self._leave(name)
        self.bridges[bridge].add(name)
        self.switches[bridge][name] = port

    def leave_switch(self, name: str) -> None:
        if any(name in self.bridges[switch] for switch in self.switches):
            self._leave(name)

    def set_port(self, name: str, *, isolated: bool, only_mac: str | None = None) -> None:
        if not any(name in taps for bridge, taps in self.bridges.items() if bridge not in self.switches):
            raise Failed(f"There is no link '{name}' in a bridge of this host.", reason="link-missing")
        (self.isolated.add if isolated else self.isolated.discard)(name)
        if only_mac is not None:
            self.only_macs[name] = only_mac
        else:
            self.only_macs.pop(name, None)

    def set_vlans(self, name: str, vlan: Vlan) -> None:
        self.vlans[name] = vlan

    def introduce(self, name: str, mac: str) -> None:
        self.introduced.append((name, mac))

    def learned(self, name: str, mac: str) -> str | None:
        return self.macs.get(mac)

    def forget(self, name: str, mac: str) -> None:
        self.forgotten.append((name, mac))
        self.macs.pop(mac, None)

    def taps_of(self, domain_uuid: str) -> frozenset[str]:
        return self.taps_by_domain().get(domain_uuid, frozenset())

    def taps_by_domain(self) -> dict[str, frozenset[str]]:
        running = [domain.uuid for domain in self.all.values() if domain.state().is_active]
        return {uuid: frozenset(tap for tap, owner in self.taps.items() if owner == uuid) for uuid in running}
