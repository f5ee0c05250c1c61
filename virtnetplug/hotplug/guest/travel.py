"""What a running guest carries with it: written before it can matter, so that a save, a restore or a migration takes it along."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from contextlib import suppress

from virtnetplug import xml
from virtnetplug.errors import DomainMissing, DomainNotRunning, VirtnetplugError
from virtnetplug.hotplug.guest.guest import nets_of
from virtnetplug.hotplug.look.open_operations import is_called
from virtnetplug.hotplug.look.view import describe
from virtnetplug.model.interface import Interface, is_lasting, is_minted
from virtnetplug.model.operation import OperationRecord
from virtnetplug.model.travelling import Asked, KnownNic, Travelling
from virtnetplug.ports.domain import Domain


def known(net: Interface) -> KnownNic:
    """The NIC as it is known elsewhere."""
    return KnownNic(net.alias or "", str(net.mac or ""), net.source, str(net.address or ""))


def is_same(nic: KnownNic, net: Interface) -> bool:
    """Whether that is the NIC: by its MAC, and by its alias; where libvirt made the alias, by its guest address and its source.

    One with an alias that lasts may have been connected to something else since, here or by the definition that a migration was given.
    """
    is_it = is_called(net, nic.name) and nic.mac == str(net.mac or "")
    return is_it and (is_lasting(nic.alias) or nic.source == net.source)


def is_named(nic: KnownNic, net: Interface) -> bool:
    """Whether that NIC has this alias and MAC, whatever it is connected to by now."""
    return (nic.alias, nic.mac) == (net.alias or "", str(net.mac or ""))


def there(nic: KnownNic, nets: Collection[Interface]) -> Interface | None:
    """The one of `nets` that is the NIC, under whatever alias and whatever it is connected to; None if none is."""
    return next((net for net in nets if nic.is_one_with(known(net))), None)


def told(nic: KnownNic, nets: Collection[Interface]) -> str:
    """The NIC as messages name it to somebody who sees the guest with these NICs: by the alias that it has there."""
    now = there(nic, nets)
    return describe(now) if now is not None else f"{nic.alias} ({nic.mac})" if is_lasting(nic.alias) else nic.name


def carried_in(domain: Domain, text: str | None) -> Travelling:
    """What that element, which the guest carries, says; nothing if it was written for another domain. Raises `MetadataInvalid`, `MetadataTooNew`."""
    found = xml.travelling(text)
    return found if found.domain_uuid == domain.uuid else Travelling(domain_uuid=domain.uuid)


def say_asked(domain: Domain, record: OperationRecord, net: Interface) -> str | None:
    """Have the guest carry that this operation asks it for the NIC; why it cannot, else None."""
    asked = Asked(record.operation, record.id, record.scope.value, domain.process(), (known(net),))
    return _change(domain, lambda now: now.with_asked(asked))


def forget_asked(
    domain: Domain,
    operation_id: str,
    gone: Collection[Interface] = (),
    *,
    answered: Collection[KnownNic] = (),
    is_ending: bool = False,
) -> None:
    """Have the guest no longer carry what this operation asked, nor whose the NICs were that are `gone`.

    What anybody asked of the NICs that the guest has `answered` goes, too, unless the guest has such a NIC again. Another operation may have died
    with its journal. The mark of an operation that `is_ending` stays until `forget` removes it. So its run is still known if the call dies before its
    journal says that it has ended. A domain that does not run carries nothing. What cannot be changed stays, and the next operation looks at it again.
    """

    def change(now: Travelling) -> Travelling:
        others = [nic for each in now.asked if each.id != operation_id for nic in each.nics]
        out = [nic for nic in answered if any(nic.is_one_with(other) for other in others)]
        there = [known(net) for net in nets_of(domain)] if out else []
        out = [nic for nic in out if not any(nic.is_one_with(one) for one in there)]
        then = now.with_ending(operation_id, out) if is_ending else now.without_asked([operation_id], out)
        return then.without_nics([known(net) for net in gone])

    _change(domain, change)


def forget(domain: Domain, operation_ids: Collection[str], nics: Collection[KnownNic]) -> str | None:
    """Have the guest no longer carry what these operations asked, nor whose these NICs are; why it cannot be, else None."""
    return _change(domain, lambda now: now.without_asked(operation_ids).without_nics(nics))


def say_ours(
    domain: Domain, nets: Collection[Interface], operation_id: str = "", *, live_xml: str | None = None
) -> str | None:
    """Have the guest carry that these NICs are virtnetplug's, if their alias does not say so; why it cannot, else None.

    `operation_id`: of the operation that asked for NICs in whose place these have come. `live_xml` is the live definition, if it has just been read.
    """
    named = [known(net) for net in nets if not is_minted(net.alias)]
    return _change(domain, lambda now: now.with_nics(named, operation_id), live_xml) if named else None


def _change(domain: Domain, change: Callable[[Travelling], Travelling], live_xml: str | None = None) -> str | None:
    try:
        now = carried_in(domain, domain.travelling()) if live_xml is None else xml.carried_in(live_xml)
        then = dataclasses.replace(change(now), domain_uuid=domain.uuid)
        if then != now:
            domain.set_travelling(xml.travelling_text(then))
    except (DomainNotRunning, DomainMissing):
        return None
    except VirtnetplugError as error:
        return error.message
    return None


def is_ours(carried_nics: Collection[KnownNic], net: Interface) -> bool:
    """Whether alias or metadata say that the NIC is virtnetplug's."""
    return is_minted(net.alias) or any(is_named(nic, net) for nic in carried_nics)


def read(live_xml: str | None) -> Travelling:
    """What a live definition says that its guest carries; nothing where that cannot be read."""
    with suppress(VirtnetplugError):
        return xml.carried_in(live_xml or "")
    return Travelling()


def pending_in(carried: Travelling) -> dict[str, str]:
    """The NICs that the guest is asked for, by name (see `leaving`), with the operation's id."""
    return {nic.name: asked.id for asked in carried.asked for nic in asked.nics}
