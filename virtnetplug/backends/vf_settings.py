"""The settings of a VF, which its PF makes: those that a request asks for, whether they fit, what differs, and setting them.

Every NIC has the fields for VLAN and link state; the other fields are `OF_DEVICES`. Settings are mappings by field name of `VfSettings`,
of plain values, as the journal keeps them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from virtnetplug.backends import Ground, vf_identity
from virtnetplug.backends.vf_identity import User
from virtnetplug.errors import HostDeviceFailed
from virtnetplug.model.holding import Holding, Setting
from virtnetplug.model.host_device import VfSettings
from virtnetplug.model.interface import OF_DEVICES, Interface, Vlan, VlanTag

Settings = Mapping[str, Setting]

FIELDS = frozenset({*OF_DEVICES, "vlan", "link_state"})
"""The fields of `Interface` that are settings of a VF while a guest has it."""

MOST_VLAN, MOST_QOS = 4094, 7
_SET_BY_LIBVIRT = frozenset({"vlan", "qos", "vlan_proto"})
_NOT_KEPT = _SET_BY_LIBVIRT | {"admin_mac", "mac", "mtu"}
"""The settings that a VF may lose while a guest has it."""

_PROTOCOLS = ("802.1Q", "802.1ad")
_NONE: Settings = {}
_BY_DEFAULT: Settings = {"trust": False, "min_rate": 0, "max_rate": 0, "link_state": "auto"}
"""The settings of a VF that the kernel has just made. The check of spoofed addresses depends on the PF's driver."""
_WORDS = {"qos": "VLAN priority", "vlan": "VLAN", "vlan_proto": "VLAN protocol", "admin_mac": "MAC"}


def of_request(net: Interface) -> dict[str, Setting]:
    """What a request asks for beyond its element. A link that is up needs no setting."""
    asked = {name: value for name in OF_DEVICES if (value := getattr(net, name)) is not None}
    if net.link_state == "down":
        asked["link_state"] = "down"
    return settings_from(asked)


def settings_from(fields: Mapping[str, Any], snapshot: Settings = _NONE) -> dict[str, Setting]:
    """The settings for these changes of fields. A field that is None restores what the VF had before (`snapshot`)."""
    found: dict[str, Setting] = {}
    for name, value in fields.items():
        if name == "vlan":
            found |= (
                {"vlan": value.tags[0].id} if value and value.tags else {"vlan": 0, "qos": 0, "vlan_proto": "802.1Q"}
            )
        elif name == "link_state":
            found[name] = {"down": "disable", "up": "auto"}.get(value) or snapshot.get(name) or "auto"
    for name in OF_DEVICES:  # after the VLAN, which clears its priority along with itself
        if name in fields:
            own = "qos" if name == "vlan_qos" else name
            found[own] = fields[name] if fields[name] is not None else snapshot.get(own)
    return {name: value for name, value in found.items() if value is not None}


def fields_from(settings: Settings) -> dict[str, Any]:
    """The fields of an element for remembered settings: libvirt sets the VLAN by itself."""
    vlan = settings.get("vlan")
    found: dict[str, Any] = {}
    if isinstance(vlan, int):
        found["vlan"] = Vlan((VlanTag(vlan),)) if vlan else None
    if "link_state" in settings:
        found["link_state"] = "down" if settings["link_state"] == "disable" else None
    return found


def vlan_fault(vlan: Vlan | None) -> str | None:
    """Why a VF cannot have this VLAN (``virNetDevSetVfConfig``, ``do_setvfinfo``); None if it can."""
    if vlan is None:
        return None
    if len(vlan.tags) != 1 or vlan.trunk:
        return "has a VLAN trunk, and a VF has one VLAN; say one tag"
    if not 0 <= vlan.tags[0].id <= MOST_VLAN:
        return f"has the VLAN {vlan.tags[0].id}, and those of a VF are 0 (none) to {MOST_VLAN}"
    return None


def unfit(wanted: Settings, now: VfSettings) -> str | None:
    """Why a VF that is set as `now` cannot be set as `wanted`; None if nothing is known against it."""
    for name, value in wanted.items():
        if getattr(now, name) is None and (name, value) != ("link_state", "auto"):
            return f"its PF has no such setting as {name.replace('_', ' ')} of a VF"
    least = _number(wanted.get("min_rate", now.min_rate))
    most = _number(wanted.get("max_rate", now.max_rate))
    if 0 < most < least:
        return f"its least rate, {least} Mbit/s, would be above its most, {most} Mbit/s"
    if not 0 <= _number(wanted.get("qos", 0)) <= MOST_QOS:
        return f"a VLAN priority is 0 to {MOST_QOS}, not {wanted['qos']}"
    if min(least, most) < 0:
        return "a rate is 0 (no limit) or more Mbit/s"
    if wanted.get("vlan_proto", _PROTOCOLS[0]) not in _PROTOCOLS:
        return f"a VLAN protocol is {' or '.join(_PROTOCOLS)}, not {wanted['vlan_proto']}"
    return None


def differences(wanted: Settings, now: VfSettings) -> dict[str, Setting]:
    """The wanted settings that differ now. A link counts as up if it is forced up, or cannot be set."""
    return {
        name: value
        for name, value in wanted.items()
        if getattr(now, name) != value
        and not (name == "link_state" and value == "auto" and getattr(now, name) in (None, "enable"))
    }


def of_ours(settings: Settings) -> dict[str, Setting]:
    """The settings that libvirt leaves alone: it sets the VLAN while it attaches a VF, and restores the VLAN afterwards."""
    return {name: value for name, value in settings.items() if name not in _SET_BY_LIBVIRT}


def of_lent(net: Interface, holding: Holding | None) -> dict[str, Setting]:
    """The settings that a guest's VF must have: those from before, then those by libvirt, then those that were asked for since.

    Another program may have lent the VF (`holding` is None): then the VF counts as made by the kernel just before.
    libvirt sets MAC and VLAN from the element, VLAN 0 where it names none (``virHostdevSetNetConfig``). For a virtual port it sets neither.
    A guest that is trusted may set its own MAC.
    """
    before, asked = (_BY_DEFAULT, _NONE) if holding is None else (holding.snapshot, holding.settings)
    wanted = {name: value for name, value in before.items() if name not in _NOT_KEPT}
    if net.virtualport is None:
        tag = net.vlan.tags[0].id if net.vlan is not None and net.vlan.tags else 0
        wanted |= {"vlan": tag, "qos": 0, "vlan_proto": _PROTOCOLS[0]}
        if net.mac is not None:
            wanted["admin_mac"] = str(net.mac)
    wanted |= asked
    if wanted.get("trust"):
        wanted.pop("admin_mac", None)
    return {name: value for name, value in wanted.items() if value is not None}


def drift(wanted: Settings, now: VfSettings) -> dict[str, Setting]:
    """The wanted settings that a VF has lost. A setting that its PF does not show counts as kept."""
    return {name: value for name, value in differences(wanted, now).items() if getattr(now, name) is not None}


def told(missed: Settings, now: VfSettings) -> str:
    """The settings in words, each with its value and the wanted value."""
    return ", ".join(f"{word(name)} is {getattr(now, name)} and not {value}" for name, value in missed.items())


def back_to(before: Settings, ours: Settings, now: VfSettings) -> dict[str, Setting]:
    """The settings that undo `ours`: those of `before` whose value is still ours. What somebody has set since stays."""
    stale = {name for name, value in ours.items() if getattr(now, name) == value}
    return {name: value for name, value in before.items() if name in stale and value is not None}


def put(ground: Ground, holding: Holding, wanted: Settings, *, user: User = User.ITS_NIC) -> None:
    """Set these settings of the held VF, which `user` has, and read them again.

    Raises `HostDeviceFailed`, which names what the VF does not have after that, and what `vf_identity.expect_ours` raises.
    """
    if not wanted:
        return
    now = ground.host_devices.settings(holding.address)
    if not differences(wanted, now):
        vf_identity.expect_ours(ground, holding, user)  # they may be the settings of another VF, or another NIC's
        return
    changed = dataclasses.replace(now, **differences(wanted, now))  # type: ignore[arg-type]
    vf_identity.apply(ground, holding, changed, user=user)
    now = ground.host_devices.settings(holding.address)
    if missed := differences(wanted, now):
        raise HostDeviceFailed(f"the settings of {holding.address} were accepted, and yet its {told(missed, now)}")


def word(name: str) -> str:
    """The name by which a person knows the setting."""
    return _WORDS.get(name, name.replace("_", " "))


def _number(value: Setting) -> int:
    return value if isinstance(value, int) else 0
