"""Which identity a fast device P has: whose marker names it, what of that emulated NIC E it can hold, and who may not claim one.

What each kind of NIC can hold was tried on libvirt 9.0; for an assigned device the rest is that of ``virHostdevNetConfigVirtPortProfile``,
``virHostdevSetNetConfig`` and ``virNetDevSetVfConfig``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from virtnetplug.errors import call
from virtnetplug.model.identity import DomainMetadata, Identity
from virtnetplug.model.interface import Interface, VirtualPort, Vlan

HOSTDEV = "hostdev"

ALWAYS = ("mac", "address", "acpi_index", "boot_order")
"""What every kind of NIC can hold: what the guest knows it by."""

_FILTERED = frozenset({"network", "bridge", "ethernet"})
_HOLDERS: Mapping[str, frozenset[str]] = {
    "filterref": _FILTERED,
    "bandwidth_inbound": frozenset({"network", "bridge", "direct", "ethernet"}),
    "bandwidth_outbound": frozenset({"network", "bridge", "direct", "ethernet"}),
    "mtu": frozenset({"network", "bridge", "ethernet", "vhostuser"}),
    "port_isolated": frozenset({"network", "bridge"}),
    "vlan": frozenset({"network", "bridge", "direct", HOSTDEV}),
}
"""The types of NIC that can hold a field; all others are refused by libvirt, or, worse, dropped without a word."""

_TAKEN = frozenset({*ALWAYS, *_HOLDERS, "link_state", "virtualport", "source_portgroup"})
"""What of E's identity a NIC takes, as far as it can hold it; a VF also has its rate."""

_PORTS: Mapping[str, frozenset[str | None]] = {
    "bridge": frozenset({"openvswitch", "midonet"}),
    "direct": frozenset({"802.1Qbg", "802.1Qbh"}),
    HOSTDEV: frozenset({"802.1Qbh"}),
}
"""The virtualports of a type of NIC; what one of type ``network`` can have its network says."""

_CALLED = {"filterref": "filter", "mtu": "MTU", "port_isolated": "port isolation", "vlan": "VLAN"}
_MOST_VLAN = 4094


@dataclass(frozen=True, slots=True)
class Taken:
    """What P gets of E: `changes` are fields of `Interface` with their values, `left_out` fields with why P cannot hold them.

    `loses_filter`: E's traffic is filtered, and P's would not be.
    """

    changes: dict[str, object] = field(default_factory=dict)
    left_out: tuple[tuple[str, str], ...] = ()
    loses_filter: bool = False


def aliased(metadata: DomainMetadata, fast_alias: str) -> Identity | None:
    """The emulated NIC whose marker names this device; it has that identity whenever that NIC is out, and nothing of it before."""
    return metadata.naming(fast_alias)


def fault(metadata: DomainMetadata, e: str, p: str) -> str | None:
    """Why P may not be E's fast device, each by its alias, as a sentence; None if it may be, or is already."""
    known, taken, itself = metadata.identity(e), metadata.naming(p), metadata.identity(p)
    if e == p:
        return f"NIC {e} cannot have its own identity: name two NICs."
    if known is not None and known.vif not in ("", p):
        return (
            f"NIC {known.vif} has the claim on the identity of {e}, and one NIC can: two could come at once. "
            f"{call('forget_identity', 'DOMAIN', e)} ends it."
        )
    if taken is not None and taken.alias != e:
        return (
            f"NIC {p} has the claim on the identity of {taken.alias}, and can have one. "
            f"{call('forget_identity', 'DOMAIN', taken.alias)} ends it."
        )
    if itself is not None and (itself.vif or itself.is_out):
        return (
            f"NIC {p} has an identity that {itself.vif or 'another NIC'} can take, and so cannot take one itself. "
            f"{call('forget_identity', 'DOMAIN', p)} ends that."
        )
    if (above := metadata.naming(e)) is not None:
        return (
            f"NIC {e} has the claim on the identity of {above.alias}, and its own may go to nobody meanwhile. "
            f"{call('forget_identity', 'DOMAIN', above.alias)} ends that."
        )
    return None


def take(e: Interface, p: Interface, *, is_hostdev: bool) -> Taken:
    """What of E's identity P gets; P's own settings stay where E says nothing. `is_hostdev`: P's actual type is hostdev.

    A VF gets E's outbound average as its `max_rate`, in Mbit/s and rounded up, the lower one where P has its own.
    """
    kind = HOSTDEV if is_hostdev else p.type
    taken: dict[str, object] = {}
    left_out: list[tuple[str, str]] = []
    for name in ALWAYS:
        if (value := getattr(e, name)) is not None:
            taken[name] = value
    if (e.link_state or "up") != (p.link_state or "up"):
        taken["link_state"] = e.link_state or "up"
    for name, value, why in _offered(e, p, kind, taken):
        if why is None:
            taken[name] = value
        else:
            left_out.append((name, why))
    if is_hostdev:
        taken |= _rate(e, p)
    return Taken(taken, tuple(left_out), loses_filter=e.filterref is not None and kind not in _FILTERED)


def retake(before: Interface, now: Interface, p: Interface, *, is_hostdev: bool) -> Taken:
    """What P, which has taken the identity of E as that was `before`, gets of what somebody has changed of E `now`."""
    taken = take(now, p, is_hostdev=is_hostdev)
    changed = {name for name in _TAKEN if getattr(before, name) != getattr(now, name)}
    if "bandwidth_outbound" in changed:
        changed.add("max_rate")
    lost = {name for name in changed if name in _HOLDERS and getattr(now, name) is None}
    changes = {name: value for name, value in taken.changes.items() if name in changed}
    changes |= {name: None for name in lost if getattr(p, name) == getattr(before, name)}
    return Taken(changes, tuple((name, why) for name, why in taken.left_out if name in changed))


def _offered(
    e: Interface, p: Interface, kind: str, taken: Mapping[str, object]
) -> Iterator[tuple[str, object, str | None]]:
    """The fields that not every NIC can hold, with their values and why this one cannot; None where it can."""
    if e.virtualport is not None:
        yield "virtualport", e.virtualport, _port_fault(e.virtualport, kind)
    if e.source_portgroup is not None:
        yield "source_portgroup", e.source_portgroup, _portgroup_fault(e, p, kind)
    if e.vlan is not None:
        has_port = kind == HOSTDEV and (taken.get("virtualport") or p.virtualport) is not None
        yield "vlan", e.vlan, _vlan_fault(e.vlan, kind, has_port=has_port)
    for name in ("bandwidth_inbound", "bandwidth_outbound", "filterref", "mtu", "port_isolated"):
        if (value := getattr(e, name)) is not None:
            yield name, value, _fault_of(e, name, kind)


def _fault_of(e: Interface, name: str, kind: str) -> str | None:
    if kind in _HOLDERS[name]:
        return None
    if kind != HOSTDEV:
        return f"a NIC of type {kind} has no {_CALLED.get(name, 'bandwidth limit')}"
    if name == "filterref":
        return "libvirt filters nothing of an assigned device"
    if name == "bandwidth_inbound":
        return "a PF limits only what its VF sends"
    if name == "bandwidth_outbound":
        rate = _mbits(e)
        return "a PF limits only the rate of its VF" + (f", to {rate} Mbit/s; no peak or burst is kept" if rate else "")
    return f"libvirt refuses {'an MTU' if name == 'mtu' else 'port isolation'} for an assigned device"


def _port_fault(port: VirtualPort, kind: str) -> str | None:
    if kind == "network" or port.type in _PORTS.get(kind, ()):
        return None
    what = "an assigned device" if kind == HOSTDEV else f"a NIC of type {kind}"
    return f"{what} has no virtualport of type {port.type or 'none'}"


def _portgroup_fault(e: Interface, p: Interface, kind: str) -> str | None:
    if kind == HOSTDEV:
        return "an assigned device has no portgroup"
    if kind != "network" or p.source_network != e.source_network:
        return f"it is a portgroup of network {e.source_network}, and {p.source} is not"
    return None


def _vlan_fault(vlan: Vlan, kind: str, *, has_port: bool) -> str | None:
    if kind not in _HOLDERS["vlan"]:
        return f"a NIC of type {kind} has no VLAN"
    if kind != HOSTDEV:
        return None
    if len(vlan.tags) != 1 or vlan.trunk or vlan.tags[0].native_mode is not None:
        return "a VF has one VLAN, and no trunk"
    if vlan.tags[0].id > _MOST_VLAN:
        return f"a VF has a VLAN up to {_MOST_VLAN}"
    return "its port profile says which VLAN a VF has" if has_port else None


def _rate(e: Interface, p: Interface) -> dict[str, object]:
    rate = _mbits(e)
    return {"max_rate": min(rate, p.max_rate or rate)} if rate else {}


def _mbits(e: Interface) -> int:
    """libvirt's average is in kilobytes of 1000 bytes a second (``virNetDevBandwidthSet`` hands tc ``kbps``), a VF's rate in Mbit/s."""
    average = e.bandwidth_outbound.average if e.bandwidth_outbound is not None else None
    return -(-(average or 0) * 8 // 1000)
