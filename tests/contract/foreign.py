"""What an administrator does to NICs with libvirt alone, restarts of what NICs live in, and the judge of what `recover` then may touch.

The judge reads definitions, taps and ports by itself, and uses none of the product's code.
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

from lxml import etree

from tests.contract.world import World
from tests.fakes.hypervisor import FakeDomain, FakeHypervisor
from virtnetplug.model.host_device import VfSettings
from virtnetplug.model.operation import Half, Outcome, Result

ELSEWHERE = "br2"
"""A bridge that no operation knows."""

BYSTANDER = "ua-other"
"""The alias of a NIC that somebody else attached, and that no operation is about."""

HALVES = (Half.LIVE, Half.CONFIG)


@dataclass(frozen=True)
class Nic:
    """One ``<interface>`` as its definition has it."""

    alias: str
    mac: str
    source: str
    model: str
    element: str = field(repr=False)

    @property
    def identity(self) -> tuple[str, str, str]:
        return self.alias, self.mac, self.source

    @property
    def look(self) -> tuple[str, str, str, str]:
        """With its model, which tells the NIC that a replacement takes out from the one that it puts in."""
        return *self.identity, self.model


Picture = dict[Half, tuple[Nic, ...]]
"""The NICs of both definitions; none of a definition that there is not."""


def nic_of(node: etree._Element) -> Nic:
    """What tells that NIC from every other, and the whole element."""

    def value(path: str) -> str:
        return next(iter(node.xpath(path)), "")

    source = value("source/@network") and f"network {value('source/@network')}"
    source = source or (value("source/@bridge") and f"bridge {value('source/@bridge')}")
    if not source:
        source = "pci " + " ".join(node.xpath("source/address/@*"))
    node = copy.deepcopy(node)
    node.tail = None
    return Nic(value("alias/@name"), value("mac/@address"), source, value("model/@type"), etree.tostring(node).decode())


def with_any_vf(there: Picture) -> Picture:
    """A pool may lend another VF to a guest that is started anew."""
    return {
        half: tuple(replace(nic, source="a VF") if nic.source.startswith("pci") else nic for nic in nics)
        for half, nics in there.items()
    }


def picture(world: World) -> Picture:
    """What there is now."""
    state = guest_of(world).state()
    there = {Half.LIVE: state.is_active, Half.CONFIG: state.persistent}
    return {half: _nics(world, half) if is_there else () for half, is_there in there.items()}


def _nics(world: World, half: Half) -> tuple[Nic, ...]:
    return tuple(map(nic_of, etree.fromstring(guest_of(world).xml(half)).iterfind("devices/interface")))


def guest_of(world: World) -> FakeDomain:
    """The guest, which the administrator's hand is laid on directly."""
    assert isinstance(world.guest, FakeDomain)
    return world.guest


# -- the administrator -------------------------------------------------------------------------------------


def foreign_nic(alias: str, number: int, bridge: str = ELSEWHERE) -> str:
    """A NIC of somebody else's."""
    return (
        f"<interface type='bridge'><mac address='52:54:00:ff:00:{number:02x}'/><source bridge='{bridge}'/>"
        f"<model type='e1000'/><alias name='{alias}'/></interface>"
    )


def _node(world: World, half: Half, alias: str) -> etree._Element | None:
    found = etree.fromstring(guest_of(world).xml(half)).xpath(f"devices/interface[alias/@name='{alias}']")
    return found[0] if found else None


def plain(node: etree._Element) -> etree._Element:
    """The element without what libvirt made for one backend."""
    for name in ("target", "driver") if node.get("type") == "hostdev" else ("target",):
        for made in node.findall(name):
            node.remove(made)
    source = node.find("source")
    source.attrib.pop("portid", None)
    if source.get("network"):
        source.attrib.pop("bridge", None)
    return node


def remove(world: World, half: Half, alias: str) -> bool:
    """``virsh detach-device``."""
    if _node(world, half, alias) is None:
        return False
    guest_of(world).detach(alias, half)
    return True


def attach_again(world: World, half: Half, alias: str) -> bool:
    """``virsh detach-device`` and ``virsh attach-device`` of one file."""
    node = _node(world, half, alias)
    if node is None:
        return False
    remove(world, half, alias)
    guest_of(world).attach(etree.tostring(plain(node)).decode(), half)
    return True


def recable(world: World, half: Half, alias: str) -> bool:
    """``virsh update-device``: into another bridge; libvirt has none of that for an assigned device of a running guest."""
    node = _node(world, half, alias)
    if node is None or (node.get("type") == "hostdev" and half is Half.LIVE):
        return False
    guest_of(world).update(elsewhere(node), half)
    return True


def move(world: World, half: Half, alias: str) -> bool:
    """Taken out, and put into another bridge with the same alias, MAC and guest address."""
    node = _node(world, half, alias)
    if node is None:
        return False
    remove(world, half, alias)
    guest_of(world).attach(elsewhere(node), half)
    return True


def elsewhere(node: etree._Element, bridge: str = ELSEWHERE) -> str:
    """The element with another bridge behind it."""
    plain(node).set("type", "bridge")
    source = node.find("source")
    source.attrib.clear()
    source[:] = []
    source.set("bridge", bridge)
    return etree.tostring(node).decode()


def take_alias(world: World, half: Half, alias: str) -> bool:
    """Another NIC bears the alias, and ours is out."""
    remove(world, half, alias)
    guest_of(world).attach(foreign_nic(alias, 1), half)
    return True


def take_device(world: World, half: Half, alias: str) -> bool:
    """Another NIC has the VF of ours, and ours is out."""
    node = _node(world, half, alias)
    if node is None or node.get("type") != "hostdev":
        return False
    remove(world, half, alias)
    node = plain(node)
    node.find("mac").set("address", "52:54:00:ff:00:09")
    node.find("alias").set("name", "ua-own")
    guest_of(world).attach(etree.tostring(node).decode(), half)
    return True


def redefine(world: World, *aliases: str) -> bool:
    """``virsh undefine`` and ``virsh define``: the same name and UUID, and other NICs."""
    guest_of(world).define([foreign_nic(alias, number) for number, alias in enumerate(aliases, start=2)])
    return True


Hand = Callable[[World, str, str], bool]
"""What is done to the NIC of that alias, the second one is that of the first NIC; False, and nothing has happened, where there is nothing to do."""


def _in(halves: Sequence[Half], act: Callable[[World, Half, str], bool]) -> Hand:
    def do(world: World, alias: str, first: str) -> bool:
        done = [act(world, half, alias) for half in halves]
        return any(done)

    return do


HANDS: dict[str, Hand] = {
    "nothing": lambda world, alias, first: alias == first,
    **{
        f"{name} {which}": _in(halves, act)
        for name, act in (("remove", remove), ("recable", recable), ("move", move), ("take alias", take_alias))
        for which, halves in (("live", (Half.LIVE,)), ("config", (Half.CONFIG,)), ("both", HALVES))
    },
    "attach again": _in(HALVES, attach_again),
    "take device": _in((Half.LIVE,), take_device),
    "redefine": lambda world, alias, first: alias == first and redefine(world, "ua-own"),
    "redefine with the alias": lambda world, alias, first: redefine(world, alias),
}


# -- restarts ----------------------------------------------------------------------------------------------


def hypervisor_of(world: World) -> FakeHypervisor:
    fake = world.host.hypervisor
    assert isinstance(fake, FakeHypervisor)
    return fake


def restart_guest(world: World) -> None:
    """Destroyed, and started from its definition under the same id: libvirtd was restarted between."""
    guest = guest_of(world)
    number = guest.state().id
    guest.destroy()
    hypervisor_of(world).restart_daemon()
    hypervisor_of(world).ids = itertools.count(number)
    guest.start()


def restart_host(world: World) -> None:
    """Another boot id, and the guest runs under the id that it had."""
    guest = guest_of(world)
    number = guest.state().id
    hypervisor_of(world).reboot()
    hypervisor_of(world).devices.start_anew("boot-2", world.host.clock.now() + 1)
    hypervisor_of(world).ids = itertools.count(number)
    guest.start()


RESTARTS: dict[str, Callable[[World], None]] = {
    "none": lambda world: None,
    "libvirtd": lambda world: hypervisor_of(world).restart_daemon(),
    "guest": restart_guest,
    "host": restart_host,
}
STARTED_ANEW = ("guest", "host")


# -- the judge ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    """What an operation that nobody disturbs makes of both definitions."""

    before: Picture
    after: Picture

    @property
    def identities(self) -> set[tuple[str, str, str]]:
        """Every NIC that the operation is about, or that was there already; a rewrite of the definition has none of their aliases for a moment."""
        found = {nic.identity for each in (self.before, self.after) for nics in each.values() for nic in nics}
        return found | {("", mac, source) for _, mac, source in found}

    def leaving(self, half: Half) -> set[tuple[str, str, str, str]]:
        return looks(self.before[half]) - looks(self.after[half])

    def entering(self, half: Half) -> set[tuple[str, str, str, str]]:
        return looks(self.after[half]) - looks(self.before[half])


def looks(nics: Iterable[Nic]) -> set[tuple[str, str, str, str]]:
    return {nic.look for nic in nics}


@dataclass
class Case:
    """One crash, one hand, one restart: what there was before and after each, and what recover said."""

    effect: Effect
    crashed: Picture
    changed: Picture
    """After the hand."""
    now: Picture
    """After the restart."""
    then: Picture = field(default_factory=dict)
    """After recover."""
    outcomes: tuple[Outcome, ...] = ()
    is_started_anew: bool = False
    begun: frozenset[tuple[Half, str]] = frozenset()
    """NICs that the operation had begun to take out, by the journal: nobody can tell who took them out, and they may be given back."""
    group: tuple[str, ...] = ()
    judged: frozenset[str] = frozenset()
    """The operations of which recover is held to what it says."""
    ordered: frozenset[tuple[str, str]] = frozenset()
    """Alias and MAC of NICs that a policy takes out, also where the journal has come to know them elsewhere: they are remembered as they were last."""
    remembered: frozenset[tuple[str, str, str]] = frozenset()
    """The NICs that the domain remembers after recover."""
    host_before: tuple[str, ...] = ()
    host_after: tuple[str, ...] = ()

    def removed(self, half: Half) -> set[tuple[str, str, str, str]]:
        """What the administrator has taken out, of the definition that a run was started from, too."""
        gone = looks(self.crashed[half]) - looks(self.changed[half])
        if half is Half.LIVE and self.is_started_anew:
            return gone | self.removed(Half.CONFIG)
        return {look for look in gone if (half, look[0]) not in self.begun}

    def placed(self, half: Half) -> set[tuple[str, str, str, str]]:
        """What he has put in."""
        came = looks(self.changed[half]) - looks(self.crashed[half])
        return came | self.placed(Half.CONFIG) if half is Half.LIVE and self.is_started_anew else came

    def faults(self) -> list[str]:
        """What recover touched and may not, and what it said and is not so."""
        return [*self._touched(), *self._lies(), *(set(self.host_after) - set(self.host_before))]

    def _touched(self) -> list[str]:
        found = []
        for half in HALVES:
            now, then = ({self._without_policy(half, nic) for nic in each[half]} for each in (self.now, self.then))
            for nic in now - then:
                if (nic.alias, nic.mac) in self.ordered and nic.identity in self.remembered:
                    continue
                if not self._is_given(half, nic) and (
                    nic.identity not in self.effect.identities or nic.alias == BYSTANDER
                ):
                    found.append(f"{half}: {nic} is not ours, and was touched: {self._named(half, nic.alias)}")
            for nic in then - now:
                if nic.identity not in self.effect.identities:
                    found.append(f"{half}: {nic} is not ours, and came")
                if nic.look in self.removed(half) - looks(now):
                    found.append(f"{half}: {nic} was removed by the administrator, and came back")
            if len(then) != len(self.then[half]) or max(Counter(n.alias for n in then).values(), default=0) > 1:
                found.append(f"{half}: something is there twice: {self.then[half]}")
        return found

    def _is_given(self, half: Half, nic: Nic) -> bool:
        """Whether a run that was started anew has the NIC by an element that the operation had half written, without its alias, when it died."""
        ours = {(mac, source) for _, mac, source in self.effect.identities}
        written = {one.identity for one in self.crashed[Half.CONFIG]} - {
            one.identity for one in self.effect.before[Half.CONFIG]
        }
        its = nic.mac, nic.source
        return half is Half.LIVE and self.is_started_anew and its in ours and ("", *its) in written

    def _without_policy(self, half: Half, nic: Nic) -> Nic:
        """Without the link of a NIC that is in a group of which one serves: whichever NIC has the name, its link is the group's."""
        if half is not Half.LIVE or nic.alias not in self.group:
            return nic
        node = etree.fromstring(nic.element)
        node[:] = sorted((child for child in node if child.tag != "link"), key=etree.tostring)
        return nic_of(node)

    def _named(self, half: Half, alias: str) -> list[Nic]:
        return [nic for nic in self.then[half] if nic.alias == alias]

    def _lies(self) -> list[str]:
        found = []
        for outcome in self.outcomes:
            if outcome.operation_id not in self.judged:
                continue
            if outcome.result is Result.UNDONE:
                found += self._not_so(outcome, due=self.effect.leaving, gone=self.effect.entering)
            if outcome.result is Result.DONE:
                found += self._not_so(outcome, due=self.effect.entering, gone=self.effect.leaving)
        return found

    def _not_so(
        self,
        outcome: Outcome,
        due: Callable[[Half], set[tuple[str, str, str, str]]],
        gone: Callable[[Half], set[tuple[str, str, str, str]]],
    ) -> list[str]:
        found = []
        for half in HALVES:
            there, said = looks(self.then[half]), " ".join((outcome.message, *outcome.warnings))
            for nic in due(half) - there:
                is_lost = half is Half.LIVE and self.is_started_anew  # the run that had it has ended
                if nic[0] not in said and not is_lost and nic not in self.removed(half):
                    found.append(
                        f"{half}: {outcome.operation} is {outcome.result}, {nic} is missing, and nobody said so: {said}"
                    )
            for nic in gone(half) & there:
                if nic[0] not in said and nic not in self.placed(half):
                    found.append(
                        f"{half}: {outcome.operation} is {outcome.result}, {nic} is there, and nobody said so: {said}"
                    )
        return found


def remembered(world: World) -> frozenset[tuple[str, str, str]]:
    """The NICs that the metadata of both definitions remembers."""
    texts = [
        text
        for half, nics in picture(world).items()
        if nics
        for text in etree.fromstring(guest_of(world).xml(half)).xpath("metadata//*[local-name()='identity']/*/text()")
    ]
    return frozenset(nic_of(etree.fromstring(text)).identity for text in texts)


@dataclass(frozen=True)
class Vf:
    """One VF of the host: alias and MAC of the NIC that the journal holds it for, and of the NIC of a guest that has it."""

    settings: VfSettings
    before: Mapping[str, object]
    """Its settings before it was lent, by the journal."""
    held_for: tuple[str, str] | None
    behind: tuple[str, str] | None


def vfs(world: World) -> dict[str, Vf]:
    """By address. Its driver makes up another MAC for a VF each time: that is no setting."""
    behind = {}
    running = [guest for guest in hypervisor_of(world).all.values() if guest.state().is_active]
    nodes = [node for guest in running for node in etree.fromstring(guest.xml(Half.LIVE)).iterfind("devices/interface")]
    for node in (node for node in nodes if node.get("type") == "hostdev"):
        parts = [int(node.find("source/address").get(name), 16) for name in ("domain", "bus", "slot", "function")]
        behind["{:04x}:{:02x}:{:02x}.{:x}".format(*parts)] = nic_of(node).identity[:2]
    rows = {str(one.address): one for one in world.host.journal.holdings() if not one.quarantine}
    held = {at: (row.alias, row.mac) for at, row in rows.items()}
    found = {str(address): replace(one, mac=None) for address, one in hypervisor_of(world).devices.set.items()}
    return {
        at: Vf(settings, rows[at].snapshot if at in rows else {}, held.get(at), behind.get(at))
        for at, settings in found.items()
    }


THROUGH_THE_PF = frozenset(("qos", "spoofchk", "trust", "min_rate", "max_rate", "link_state"))
"""What libvirt does not set of a VF: it lends one on with what the last NIC had of that."""


def vf_faults(effect: Effect, before: dict[str, Vf], after: dict[str, Vf], *, is_open: bool) -> list[str]:
    """VFs that are held for a NIC which does not have them, unless an operation is open, and VFs that were set although they are not ours.

    Where another NIC has got the VF, what libvirt does not set may be as before it was lent.
    """
    ours = {identity[:2] for identity in effect.identities}
    found = []
    for at, vf in after.items():
        if vf.held_for is not None and vf.held_for != vf.behind and not is_open:
            found.append(f"VF {at} is held for {vf.held_for}, and {vf.behind} has it")
        was = before.get(at, vf)  # one that recover has made is its own
        holders, users = {was.held_for, vf.held_for} - {None}, {was.behind, vf.behind} - {None}
        changed = {name for name, value in asdict(vf.settings).items() if getattr(was.settings, name) != value}
        kept = {name for name in changed & THROUGH_THE_PF if getattr(vf.settings, name) == was.before.get(name)}
        if changed - kept and (users - holders - ours or not (users or holders)):
            found.append(f"VF {at} of {users or 'nobody'} was set: {was.settings}, then {vf.settings}")
    return found


def host_faults(world: World) -> list[str]:
    """Taps and ports that no NIC has, and NICs that lack one."""
    fake, found = hypervisor_of(world), []
    live = {nic: etree.fromstring(nic.element) for nic in picture(world)[Half.LIVE]}
    emulated = {node.find("target").get("dev"): nic for nic, node in live.items() if node.find("target") is not None}
    taps = {tap for tap, owner in fake.taps.items() if owner == guest_of(world).uuid}
    found += [f"tap {tap} has no NIC" for tap in taps - set(emulated)]
    for tap, nic in emulated.items():
        bridge = live[nic].find("source").get("bridge")
        if tap not in fake.bridges.get(bridge, ()):
            found.append(f"{nic} has no tap {tap} in {bridge}")
    ports = {node.find("source").get("portid") for node in live.values() if node.get("type") == "network"}
    found += [
        f"port {port.uuid} of {port.network} has no NIC"
        for port in fake.net_ports.values()
        if port.uuid not in ports and port.host_address is None
    ]
    return found + [f"there is no port {uuid}" for uuid in ports if uuid not in fake.net_ports]
