"""The words of every kind of finding, and what makes a `Finding` of them."""

from __future__ import annotations

from typing import NamedTuple

from virtnetplug.model.audit import Finding


class Words(NamedTuple):
    """The sentences of a kind of finding: what is wrong, what a person can do, and what a repair does (empty if none is safe).

    Their fields for `str.format` are those of the finding (`domain`, `nic`, `device`, `network`) and the values that the check adds.
    """

    message: str
    remedy: str = ""
    repair: str = ""


_DETACH = "It carries no traffic: detach it and attach it again."
_RETURN = "return it to the host, and to its pool, with proof that it is as it was"
_REPAIR = "Restore this with `repair()`"

WORDS = {
    "alias-duplicate": Words(
        "In the {half} definition of {domain} the alias {nic} names more than one NIC.",
        "Give each NIC an alias of its own (virsh edit). While they share this alias, no command can name either of them.",
    ),
    "mac-duplicate": Words(
        "In the {half} definition of {domain} {count} NICs have the MAC {nic}: {names}.",
        "Detach all but one of them by alias, and attach them again with MACs of their own.",
    ),
    "tap-missing": Words(
        "The definition of NIC {nic} of {domain} names the host device {device}, and the host has no such link.",
        _DETACH,
    ),
    "bridge-missing": Words(
        "Host device {device} of NIC {nic} of {domain} should be in bridge {bridge}, which does not exist.",
        "To have traffic again, {start}, then audit again.",
    ),
    "tap-in-other-bridge": Words(
        "Host device {device} of NIC {nic} of {domain} is in bridge {master}; its definition says {bridge}.",
        f"{_REPAIR}.",
        "put {device} into bridge {bridge}",
    ),
    "tap-not-in-bridge": Words(
        "Host device {device} of NIC {nic} of {domain} is in no bridge; its definition says {bridge}.",
        f"{_REPAIR}, or reconnect all such NICs with `heal()`.",
        "put {device} into bridge {bridge}",
    ),
    "tap-down": Words(
        "Host device {device} of NIC {nic} of {domain} is set down on the host.",
        "It carries no traffic: set it up again with 'ip link set {device} up'.",
    ),
    "tap-not-isolated": Words(
        "NIC {nic} of {domain} should be isolated from the other isolated NICs of its bridge. Its host device {device} is not.",
        "Isolate it with `repair()` or `heal()`.",
        "isolate {device} in bridge {master} again",
    ),
    "port-missing": Words(
        "NIC {nic} of {domain} names port {device} of network {network}, {why}.",
        "{how}",
        "make port {device} of network {network} again",
    ),
    "port-orphaned": Words(
        "Port {device} of network {network} belongs to {domain}, which {why}.",
        "{how}'virsh net-port-delete {network} {device}'.",
        "delete port {device} of network {network}",
    ),
    "orphan-tap": Words(
        "The QEMU process of {domain} holds the host device {device}, and its live definition has no NIC with it. "
        "An attach was cut off, and the guest may have a NIC that libvirt does not know.",
        "libvirt cannot remove a NIC that it does not know: shut the guest down and start it again at a suitable time. "
        "Or let `recover({domain!r}, allow_taint=True)` make QEMU remove the NIC that an operation left.",
    ),
    "orphan-vif": Words(
        "The host shows {device} of {domain} (MAC {mac}, bridge {bridge}), and its live definition has no NIC with it. "
        "An attach was cut off or failed, or 'xl' made the vif.",
        "`recover({domain!r})` removes a vif that an operation left. A vif that you want can stay. "
        "Remove any other vif with 'xl network-detach {domain} {number}'.",
    ),
    "vif-missing": Words("For NIC {nic} of {domain} the host has no {missing}.", _DETACH),
    "vif-remains": Words(
        "xenstore has entries that a hotplug script wrote for a vif of domain id {device} after that domain had ended.",
        "Remove them with `repair()`.",
        "remove the entries that the script wrote for the vifs of domain id {device}",
    ),
    "config-differs": Words(
        "NIC {nic} of {domain} will change at the next boot: {changes}.",
        "If you do not want this change, correct the definition with `update(scope=Scope.CONFIG)`.",
    ),
    "operation-stalled": Words("{why}", "No other call can settle the operation as long as that process lives."),
    "operation-open": Words("Operation {device} ({operation} on {domain}) {why}.", "{how}"),
    "row-damaged": Words(
        "The journal's row of NIC {nic} of {domain} cannot be read: {why}.",
        "The NIC itself works. `show()` shows the NIC as the hypervisor has it.",
    ),
    "nic-gone": Words(
        "The journal has NIC {nic} ({mac}) of {domain}, and that domain does not have it any more.",
        "The guest was shut down, or somebody else detached the NIC. `repair()` deletes the row in the journal.",
        "delete the row of NIC {nic} in the journal",
    ),
    "device-quarantined": Words(
        "Host device {device}, last of {nic} of {domain}, {why}.",
        "Remove the cause, then run `repair()` or `recover()`.",
        _RETURN,
    ),
    "device-leaked": Words(
        "Host device {device} is held for {nic} of {domain}, which does not have the device any more.",
        "Run `recover()`.",
        _RETURN,
    ),
    "device-missing": Words(
        "Host device {device}, which {nic} of {domain} has, {what}: somebody changed sriov_numvfs of its PF{why}.",
        "Detach the NIC, and attach it again when there are VFs. Change the number of VFs only while no guest has a VF.",
    ),
    "vf-changed": Words(
        "{why}. virtnetplug writes nothing to the VF.",
        "Run `recover()`, then detach the NIC and attach it again.",
        "release host device {device}, which is held for {nic}, and delete its port",
    ),
    "device-driver": Words(
        "Host device {device}, which {nic} of {domain} has, is on driver {driver} and not on vfio-pci. "
        "Somebody bound it by hand, or changed sriov_numvfs of its PF, which makes every VF again.",
        "Detach the NIC and attach it again.",
    ),
    "vf-settings-unseen": Words(
        "The settings of host device {device}, which {nic} of {domain} has, cannot be seen: {why}",
        "Remove the cause: until then the device can neither be set nor be returned.",
    ),
    "vf-settings-differ": Words(
        "Host device {device}, which {nic} of {domain} has, has wrong settings: its {missed}. "
        "Somebody changed them by hand, or its PF lost them at a reset.",
        "Restore them with `repair()`. If you want the change, make it with `update()`.",
        "set {settings} again through its PF",
    ),
    "device-port-missing": Words(
        "Network {network} has lost the port of host device {device}, which {nic} of {domain} has. The network would lend the device again.",
        "{how}un `repair()`.",
        "reserve it in network {network} again",
    ),
    "metadata-unread": Words("virtnetplug's metadata of {domain} cannot be read: {why}"),
    "identity-differs": Words(
        "The metadata of {domain} about {what} differs between the running guest and its definition. {why}.",
        "Copy the running guest's metadata to the definition with `repair()`; or delete it with `forget_identity()` or `clear_policy()`.",
        "copy the running guest's metadata to its definition",
    ),
    "identity-lost": Words(
        "{nic} of {domain} was handed over to {vif}, and the metadata of {domain} has no record of {nic}. "
        "Somebody defined the domain anew, or removed its metadata.",
        "`repair()` writes the record again; `forget_identity({domain!r}, {nic!r})` drops the hand-over instead.",
        "write the record of {nic} again, as the journal has it",
    ),
    "policy-unmet": Words(
        "A policy of {domain} is not met: {why}.",
        "`recover({domain!r})` enforces the policy; `explain_policy({domain!r})` explains it.",
        "enforce the policy: {device} of {nic}",
    ),
}
"""By the kind of the finding."""


def finding(
    kind: str,
    owner: tuple[str, str],
    nic: str,
    *,
    device: str = "",
    network: str | None = None,
    is_safe: bool = True,
    **values: object,
) -> Finding:
    """The finding, in the words of its kind. `owner` is the domain's name and UUID; a repair that is not safe is not offered."""
    values |= {"domain": owner[0], "nic": nic, "device": device, "network": network}
    message, remedy, repair = (text.format(**values) for text in WORDS[kind])
    return Finding(
        kind=kind, domain=owner[0], domain_uuid=owner[1], nic=nic, message=message, remedy=remedy,
        repair=repair if is_safe else "", network=network or "", device=device,
    )  # fmt: skip
