"""Why a vif cannot be bound anew. Definition, xenstore and link must agree; a refusal names both values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from virtnetplug.errors import BridgeMissing, NotSupported, TapElsewhere, VifUnfit
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.check.reserved import pending
from virtnetplug.hotplug.look.backing import LINUX
from virtnetplug.hotplug.look.open_operations import operation_on
from virtnetplug.hotplug.report.inventory import pending_nics
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Refusal
from virtnetplug.ports.domain import Domain
from virtnetplug.ports.links import Link
from virtnetplug.ports.xen import Vif

_AGAIN = "Detach it and attach it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A vif with its domain and its net of the live definition. Both are None if libvirt does not know the vif.

    `link` is None while the vif has no driver. `is_placed` is true if the vif gets into its bridge again.
    """

    vif: Vif
    label: str
    domain: Domain | None = None
    net: Interface | None = None
    link: Link | None = None
    is_placed: bool = True

    @property
    def domain_uuid(self) -> str:
        """Empty for a vif that is no NIC of libvirt's."""
        return self.domain.uuid if self.domain is not None and self.net is not None else ""

    @property
    def alias(self) -> str:
        """The alias of the NIC, else its MAC. For a vif that is no NIC, the name of the vif."""
        return (self.net.alias or str(self.net.mac)) if self.net is not None else self.vif.name

    @property
    def bridge(self) -> str | None:
        """The bridge where the vif belongs: by its definition, else by what its toolstack wrote."""
        return (self.net.source_bridge if self.net is not None else None) or self.vif.bridge


def no_single(label: str, vifs: Sequence[Vif]) -> Refusal:
    """The refusal of a NIC that is no vif, or several."""
    names = ", ".join(vif.name for vif in vifs) or "no vif"
    return _refusal(VifUnfit.reason, label, f"xenstore has {names} with its MAC, and one is needed. {_AGAIN}")


def unknown(domain_id: int, number: int) -> Refusal:
    """The refusal of a vif that has the driver and that xenstore does not have."""
    name = f"vif-{domain_id}-{number}"
    return _refusal(VifUnfit.reason, name, "xenstore has nothing of it. Try again once its domain has ended.")


def refusals(host: Host, candidate: Candidate, *, must_connect: bool) -> Iterator[Refusal]:
    """Every refusal. `must_connect`: its guest must be connected, too."""
    label, vif = candidate.label, candidate.vif
    operations = pending_nics(host, candidate.domain_uuid) if candidate.domain_uuid else {}
    if candidate.domain is not None and (operation := operation_on(candidate.net, operations)) is not None:
        yield pending(label, label, operation, candidate.domain)
    states = f"backend {vif.backend or 'gone'}, frontend {vif.frontend or 'gone'}"
    if vif.backend_domain:
        why = f"its backend runs in domain {vif.backend_domain}, and can be bound anew only there."
        yield _refusal(VifUnfit.reason, label, why)
    elif vif.backend is None or not vif.is_online:
        yield _refusal(VifUnfit.reason, label, f"{vif.name} is being taken out, or its backend is gone ({states}).")
    elif must_connect and vif.frontend is not State.CONNECTED:
        why = f"its guest is not connected ({states}), so there is no ring to be taken over. It connects by itself once the guest's driver does."
        yield _refusal(VifUnfit.reason, label, why)
    if candidate.is_placed:
        yield from _of_bridge(host, candidate)


def _of_bridge(host: Host, candidate: Candidate) -> Iterator[Refusal]:
    """Definition and xenstore must name the same bridge, and the link must be in that bridge, or in none."""
    label, vif, net, link, wanted = candidate.label, candidate.vif, candidate.net, candidate.link, candidate.bridge
    if net is not None and (net.vlan is not None or net.virtualport is not None):
        why = f"it has a VLAN or a virtual port, which joining its bridge alone would not restore. {_AGAIN}"
        yield _refusal(NotSupported.reason, label, why)
    if wanted is None:
        why = f"it is in no bridge, and what its script {vif.script} has made otherwise cannot be restored. {_AGAIN}"
        yield _refusal(NotSupported.reason, label, why)
        return
    if vif.bridge not in (None, wanted):
        why = f"its definition says bridge {wanted}, and xenstore bridge {vif.bridge}. {_AGAIN}"
        yield _refusal(TapElsewhere.reason, label, why)
    if link is not None and link.master not in (None, wanted):
        why = f"its link {link.name} is in {link.master}, and its definition says bridge {wanted}. Put it there, or detach it and attach it as it is."
        yield _refusal(TapElsewhere.reason, label, why)
    bridge = host.links.link(wanted)
    if bridge is None:
        yield _refusal(
            BridgeMissing.reason, label, f"its bridge {wanted} is not on this host. Make it, then try again."
        )
    elif bridge.kind != LINUX:
        why = f"{wanted} is no Linux bridge but of kind {bridge.kind}, which it could not join again. {_AGAIN}"
        yield _refusal(NotSupported.reason, label, why)


def _refusal(reason: str, label: str, why: str) -> Refusal:
    return Refusal(reason=reason, nic=label, message=f"{label}: {why}")
