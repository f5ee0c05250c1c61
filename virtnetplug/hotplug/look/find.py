"""Which NIC of a domain a selector means."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress

from virtnetplug.errors import NicAmbiguous, NicMissing, PciAddressInvalid
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView, describe
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half
from virtnetplug.model.pci import PciAddress


def find(view: DomainView, selector: str, halves: Collection[Half] = BOTH) -> DomainNic:
    """The one NIC `selector` means: a MAC, an alias, a host device name, or a PCI address in the guest or on the host.

    Where it means several, `halves` decide: the one of them that these definitions have. Raises `NicMissing`, which lists the NICs there
    are, or `NicAmbiguous`, which lists those that match.
    """
    matches = _meant_by(view, selector.strip())
    if len(matches) > 1:
        in_scope = [nic for nic in matches if any(nic.half(half) for half in halves)]
        matches = in_scope if len(in_scope) == 1 else matches
    if len(matches) == 1:
        return matches[0]
    name, listed = view.domain.name, ", ".join(describe(nic.net) for nic in matches or view.nics)
    if matches:
        ways = " or ".join(filter(None, [_difference(view, matches), _by_half(matches)]))
        remedy = (
            f"Name the one you mean {ways}"
            if ways
            else "Nothing tells them apart: give one of them an alias of its own first"
        )
        raise NicAmbiguous(f"'{selector}' means {len(matches)} NICs of domain {name}: {listed}. {remedy}.")
    there = f"It has {listed}." if listed else "It has no NIC at all."
    raise NicMissing(
        f"Domain {name} has no NIC '{selector}'. {there} Name one by its alias, MAC, host device or PCI address."
    )


def in_guest(view: DomainView, nic: DomainNic) -> Interface:
    """The NIC as the guest has it; raises `NicMissing` of one that only the next boot has."""
    if nic.live is None:
        raise _missing(view, nic, Half.LIVE)
    return nic.live


def expect_in(view: DomainView, nic: DomainNic, halves: Collection[Half]) -> None:
    """Raise `NicMissing`, which names the scope to use, where one of these definitions lacks the NIC."""
    for half in halves:
        if nic.half(half) is None:
            other = Half.CONFIG if half is Half.LIVE else Half.LIVE
            raise _missing(view, nic, half, f"; use `scope=Scope.{other.name}` alone")


def _missing(view: DomainView, nic: DomainNic, half: Half, remedy: str = "") -> NicMissing:
    return NicMissing(f"NIC {describe(nic.net)} of domain {view.domain.name} is not in its {half} definition{remedy}")


def _meant_by(view: DomainView, selector: str) -> list[DomainNic]:
    mac, pci = selector.lower().replace("-", ":"), None
    with suppress(PciAddressInvalid):
        pci = PciAddress.parse(selector)

    def is_meant(net: Interface) -> bool:
        if selector in (net.alias, net.target_dev) or (net.mac is not None and net.mac.text == mac):
            return True
        return pci is not None and pci in (net.address, view.host_address(net))

    return [nic for nic in view.nics if any(map(is_meant, nic.nets))]


def _difference(view: DomainView, matches: Sequence[DomainNic]) -> str:
    """The way to name each of these NICs alone: alias, MAC, or guest address, with the addresses; empty if none names them all."""
    for field, kind in (("alias", "alias"), ("mac", "MAC"), ("address", "guest address")):
        values = [
            next((value for net in nic.nets if (value := getattr(net, field)) is not None), None) for nic in matches
        ]
        names = [str(value) for value in values if value is not None]
        if [_meant_by(view, name) for name in names] == [[nic] for nic in matches]:
            return f"by its {kind}" + (f" ({', '.join(names)})" if field == "address" else "")
    return ""


def _by_half(matches: Sequence[DomainNic]) -> str:
    """A way to name each NIC that one definition alone has; empty if there is no such NIC, or if one definition has several."""
    alone = [live is None for live, config in matches if None in (live, config)]
    if not alone or max(alone.count(True), alone.count(False)) > 1:
        return ""
    return "by the one definition that has it: `scope=Scope.LIVE` for the guest's, `scope=Scope.CONFIG` for that of the next boot"
