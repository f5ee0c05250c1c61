"""Which identity a fast device P takes from an emulated NIC E: who may claim it, and which parts of it P can hold.

What each kind of NIC can hold was tried on libvirt 9.0. For an assigned device ``virHostdevNetConfigVirtPortProfile``,
``virHostdevSetNetConfig`` and ``virNetDevSetVfConfig`` show the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from virtnetplug.errors import call
from virtnetplug.model.identity import DomainMetadata
from virtnetplug.model.interface import Interface, Vlan

HOSTDEV = "hostdev"

ALWAYS = ("mac", "address", "acpi_index", "boot_order")
"""What every kind of NIC can hold: the guest recognises a NIC by these."""

_FILTERED = frozenset({"network", "bridge", "ethernet"})
_HOLDERS: Mapping[str, frozenset[str]] = {
    "filterref": _FILTERED,
    "bandwidth_inbound": frozenset({"network", "bridge", "direct", "ethernet"}),
    "bandwidth_outbound": frozenset({"network", "bridge", "direct", "ethernet"}),
    "mtu": frozenset({"network", "bridge", "ethernet", "vhostuser"}),
    "port_isolated": frozenset({"network", "bridge"}),
    "vlan": frozenset({"network", "bridge", "direct", HOSTDEV}),
}
"""The types of NIC that can hold a field. For all others libvirt refuses the field, or, worse, drops it silently."""

_TAKEN = frozenset({*ALWAYS, *_HOLDERS, "link_state", "virtualport", "source_portgroup"})
"""The fields of E's identity that a NIC takes, as far as it can hold them; a VF also takes E's rate."""

_PORTS: Mapping[str, frozenset[str | None]] = {
    "bridge": frozenset({"openvswitch", "midonet"}),
    "direct": frozenset({"802.1Qbg", "802.1Qbh"}),
    HOSTDEV: frozenset({"802.1Qbh"}),
}
"""The virtualports that a type of NIC can have; for the type ``network`` the network decides."""

_CALLED = {"filterref": "filter", "mtu": "MTU", "port_isolated": "port isolation", "vlan": "VLAN"}
_MOST_VLAN = 4094


@dataclass(frozen=True, slots=True)
class Taken:
    """What P takes from E: `changes` are fields of `Interface` with their values, `left_out` fields with why P cannot hold them.

    `loses_filter`: E's traffic is filtered, and P's would not be. `kind` is the kind of NIC that P is, for messages.
    """

    changes: dict[str, object] = field(default_factory=dict)
    left_out: tuple[tuple[str, str], ...] = ()
    loses_filter: bool = False
    kind: str = ""


def fault(metadata: DomainMetadata, e: str, p: str) -> str | None:
    """Why P may not be E's fast device, each by its alias, as a sentence; None if P may be, or is already."""
    known, taken, itself, above = metadata.identity(e), metadata.naming(p), metadata.identity(p), metadata.naming(e)
    if e == p:
        return f"NIC {e} cannot have its own identity: name two NICs."
    if known is not None and known.vif not in ("", p):
        what, whose = (
            f"NIC {known.vif} has the claim on the identity of {e}, and one NIC can: two could come at once",
            e,
        )
    elif taken is not None and taken.alias != e:
        what, whose = f"NIC {p} has the claim on the identity of {taken.alias}, and can have one", taken.alias
    elif itself is not None and (itself.vif or itself.is_out):
        taker = itself.vif or "another NIC"
        what, whose = f"NIC {p} has an identity that {taker} can take, and so cannot take one itself", p
    elif above is not None:
        whose = above.alias
        what = f"NIC {e} has the claim on the identity of {whose}, and its own may go to nobody meanwhile"
    else:
        return None
    return f"{what}. {call('forget_identity', 'DOMAIN', whose)} ends that."


def take(e: Interface, p: Interface, kind: str) -> Taken:
    """What P takes of E's identity; P's own settings stay where E says nothing. `kind` is P's type, or `HOSTDEV` if P's actual type is that.

    A VF gets E's outbound average as its `max_rate`, in Mbit/s and rounded up. Where P has its own rate, the lower one holds.
    """
    always = {name: getattr(e, name) for name in ALWAYS}
    taken: dict[str, object] = {name: value for name, value in always.items() if value is not None}
    left_out: list[tuple[str, str]] = []
    if (e.link_state or "up") != (p.link_state or "up"):
        taken["link_state"] = e.link_state or "up"
    for name, value, why in _offered(e, p, kind, taken):
        if why is None:
            taken[name] = value
        else:
            left_out.append((name, why))
    if kind == HOSTDEV and (rate := _mbits(e)):
        taken["max_rate"] = min(rate, p.max_rate or rate)
    loses_filter = e.filterref is not None and kind not in _FILTERED
    return Taken(taken, tuple(left_out), loses_filter=loses_filter, kind=_words(kind))


def retake(before: Interface, now: Interface, p: Interface, kind: str) -> Taken:
    """What P, which took the identity of E as E was `before`, takes of the changes that somebody made to E until `now`."""
    taken = take(now, p, kind)
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
    """The fields that not every NIC can hold, with their values and why P cannot hold them; None where it can."""
    if e.virtualport is not None:
        fits = kind == "network" or e.virtualport.type in _PORTS.get(kind, ())
        why = f"{_words(kind)} has no virtualport of type {e.virtualport.type or 'none'}"
        yield "virtualport", e.virtualport, None if fits else why
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
        return f"{_words(kind)} has no {_CALLED.get(name, 'bandwidth limit')}"
    if name == "filterref":
        return "libvirt filters nothing of an assigned device"
    if name == "bandwidth_inbound":
        return "a PF limits only what its VF sends"
    if name == "bandwidth_outbound":
        rate = _mbits(e)
        return "a PF limits only the rate of its VF" + (f", to {rate} Mbit/s; no peak or burst is kept" if rate else "")
    return f"libvirt refuses {'an MTU' if name == 'mtu' else 'port isolation'} for an assigned device"


def _words(kind: str) -> str:
    return "an assigned device" if kind == HOSTDEV else f"a NIC of type {kind}"


def _portgroup_fault(e: Interface, p: Interface, kind: str) -> str | None:
    if kind == HOSTDEV:
        return "an assigned device has no portgroup"
    if kind != "network" or p.source_network != e.source_network:
        return f"it is a portgroup of network {e.source_network}, and {p.source} is not"
    return None


def _vlan_fault(vlan: Vlan, kind: str, *, has_port: bool) -> str | None:
    if kind not in _HOLDERS["vlan"]:
        return f"{_words(kind)} has no VLAN"
    if kind != HOSTDEV:
        return None
    if len(vlan.tags) != 1 or vlan.trunk or vlan.tags[0].native_mode is not None:
        return "a VF has one VLAN, and no trunk"
    if vlan.tags[0].id > _MOST_VLAN:
        return f"a VF has a VLAN up to {_MOST_VLAN}"
    return "its port profile says which VLAN a VF has" if has_port else None


def _mbits(e: Interface) -> int:
    """libvirt's average is in kilobytes of 1000 bytes a second (``virNetDevBandwidthSet`` hands tc ``kbps``), a VF's rate in Mbit/s."""
    average = e.bandwidth_outbound.average if e.bandwidth_outbound is not None else None
    return -(-(average or 0) * 8 // 1000)
