"""A domain as it was looked at, with what its metadata and the journal know of its NICs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from virtnetplug import xml
from virtnetplug.errors import IdentityMissing, call
from virtnetplug.hotplug.call.host import Host
from virtnetplug.hotplug.change.remembering import Remembered, halves_of, name_of
from virtnetplug.hotplug.look.recognition import Rows, plugged_rows
from virtnetplug.hotplug.look.view import BOTH, DomainNic, DomainView, look
from virtnetplug.hotplug.report.inventory import pending_nics
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain


@dataclass(frozen=True, eq=False)
class KnownDomain:
    """A look at a domain, and what is known of its NICs, which is read once, when it is first used.

    `kept` is the metadata, if the caller has read it already or is about to write it.
    """

    host: Host
    view: DomainView
    kept: DomainMetadata | None = None

    @classmethod
    def of(cls, host: Host, domain: Domain) -> KnownDomain:
        """The domain as it is now. Raises `DomainMissing` if it is gone."""
        return cls(host, look(domain, BOTH))

    @cached_property
    def metadata(self) -> DomainMetadata:
        """What the live definition of a running domain remembers, or the config of a domain that is off.

        Only a definition that has virtnetplug metadata costs a call. Raises what `xml.metadata` raises.
        """
        if self.kept is not None:
            return self.kept
        if xml.NAMESPACE not in (self.view.live_xml or self.view.config_xml or ""):
            return DomainMetadata()
        return xml.metadata(self.view.domain.metadata(Half.LIVE if self.view.live_xml is not None else Half.CONFIG))

    @cached_property
    def rows(self) -> Rows:
        """See `plugged_rows`."""
        return plugged_rows(self.host, self.view)

    @cached_property
    def pending(self) -> Mapping[str, str]:
        """See `pending_nics`."""
        return pending_nics(self.host, self.view.domain.uuid, self.view)

    @cached_property
    def policy(self) -> UnplugPolicy:
        """The unplug policy of the domain, or the host's default for a domain without a policy."""
        return self.host.journal.host_policy() if self.metadata.unplug is None else self.metadata.unplug

    @cached_property
    def nets(self) -> Mapping[str, Interface]:
        """The NICs of the running guest, by the names that the metadata has."""
        return {name_of(net): net for net in (self.view.live.nets if self.view.live is not None else ())}

    def called(self, name: str) -> tuple[DomainNic, ...]:
        """The NICs that are remembered by that name."""
        return tuple(nic for nic in self.view.nics if name in map(name_of, nic.nets))

    def identity_of(self, emulated: str) -> Identity:
        """The remembered identity of the NIC with that alias or MAC. Raises `IdentityMissing`."""
        for identity in self.metadata.identities:
            nets = [xml.interface(text) for text in (identity.live, identity.config) if text is not None]
            if emulated == identity.alias or emulated.lower() in [str(net.mac) for net in nets]:
                return identity
        name = self.view.domain.name
        there = ", ".join(identity.alias for identity in self.metadata.identities) or "nothing"
        raise IdentityMissing(
            f"Domain {name} remembers no NIC '{emulated}' (it remembers {there}). A hand-over writes such a record, and so does the attach of "
            f"its twin with `twin_of`. {call('identities', name)} lists them."
        )

    def unheld(self, net: Interface) -> Interface:
        """The NIC with its own link state, if its link is held down because another NIC serves.

        While a NIC is in a group, its link state is the group's. Neither the NIC's record, nor the NIC that takes its identity, may inherit that state.
        """
        name = name_of(net)
        if net.link_state != "down" or not any(name in group for group in self.metadata.activation):
            return net
        identity = self.metadata.identity(name)
        was = xml.interface(identity.live).link_state if identity is not None and identity.live is not None else None
        return xml.interface(xml.edit(net.element, {"link_state": was}))

    def change(self, name: str, after: Identity | None) -> Remembered:
        """The change of the NIC's record to `after`; None deletes the record."""
        return Remembered(name=name, before=self.metadata.identity(name), after=after, halves=halves_of(self.view))

    def record(self, nic: DomainNic, *, vif: str, is_out: bool) -> Remembered:
        """The change that writes the NIC's elements as they are now, and its marker. A link that is held down is recorded as `unheld` says."""
        name = name_of(nic.net)
        after = replace(self.metadata.identity(name) or Identity(alias=name), vif=vif, is_out=is_out)
        if nic.live is not None:
            after = replace(after, live=self.unheld(nic.live).element)
        if nic.config is not None:
            after = replace(after, config=nic.config.element)
        return self.change(name, after)
