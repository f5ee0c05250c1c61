"""A connection to libvirt's Xen driver, on the host whose dom0 this is or on another."""

from __future__ import annotations

from collections.abc import Iterable

from virtnetplug.adapters.xen.domain import Dom0, XenDomain
from virtnetplug.adapters.xen.limits import PV_MODEL
from virtnetplug.ports.domain import Domain, DomainState, Hypervisor


class XenHypervisor:
    """`ports.domain.Hypervisor` on libvirt's connection; its domains are `XenDomain`.

    Lists leave out dom0, which libvirt lists as a domain: dom0 is the host.
    """

    def __init__(self, inner: Hypervisor, dom0: Dom0) -> None:
        self._inner, self._dom0 = inner, dom0
        self.uri, self.key, self.is_local = inner.uri, inner.key, inner.is_local
        self.close = inner.close

    def domain(self, name: str) -> XenDomain:
        return XenDomain(self._inner.domain(name), self._dom0)

    def domains(self) -> Iterable[XenDomain]:
        return self._guests(self._inner.domains())

    def running(self) -> Iterable[XenDomain]:
        return self._guests(self._inner.running())

    def _guests(self, domains: Iterable[Domain]) -> list[XenDomain]:
        return [XenDomain(domain, self._dom0) for domain in domains if not _is_host(domain.uuid)]

    def definitions(self) -> Iterable[tuple[XenDomain, DomainState]]:
        for domain, state in self._inner.definitions():
            if not _is_host(domain.uuid):
                yield XenDomain(domain, self._dom0), state

    def nic_models(self, domain_xml: str) -> frozenset[str] | None:
        """A paravirtual guest has ``netfront``; the models of another guest are its device model's, which is not asked."""
        return None if ">hvm</type>" in domain_xml else frozenset({PV_MODEL})


def _is_host(uuid: str) -> bool:
    """Whether this is dom0, whose UUID is all zeros (``libxlAddDom0``)."""
    return set(uuid) <= {"0", "-"}
