"""A connection to libvirt's Xen driver, on the host whose dom0 this is or on another."""

from __future__ import annotations

from collections.abc import Iterable

from virtnetplug.adapters.xen.domain import Dom0, XenDomain
from virtnetplug.adapters.xen.limits import PV_MODEL
from virtnetplug.ports.domain import DomainState, Hypervisor


class XenHypervisor:
    """`ports.domain.Hypervisor` on that of libvirt; its domains are `XenDomain`."""

    def __init__(self, inner: Hypervisor, dom0: Dom0) -> None:
        self._inner, self._dom0 = inner, dom0

    @property
    def uri(self) -> str:
        """As libvirt gives it."""
        return self._inner.uri

    @property
    def key(self) -> str:
        """That of libvirt's connection."""
        return self._inner.key

    @property
    def is_local(self) -> bool:
        """Whether this is the host's dom0."""
        return self._inner.is_local

    def domain(self, name: str) -> XenDomain:
        """By name, UUID or id."""
        return XenDomain(self._inner.domain(name), self._dom0)

    def domains(self) -> Iterable[XenDomain]:
        """All of them, but dom0, which is listed as one and is the host."""
        return [XenDomain(domain, self._dom0) for domain in self._inner.domains() if not _is_host(domain.uuid)]

    def running(self) -> Iterable[XenDomain]:
        """Those that run."""
        return [XenDomain(domain, self._dom0) for domain in self._inner.running() if not _is_host(domain.uuid)]

    def definitions(self) -> Iterable[tuple[XenDomain, DomainState]]:
        """All with their states."""
        for domain, state in self._inner.definitions():
            if not _is_host(domain.uuid):
                yield XenDomain(domain, self._dom0), state

    def nic_models(self, domain_xml: str) -> frozenset[str] | None:
        """A paravirtual guest has ``netfront``; what is emulated for another is its device model's, which is not asked."""
        return None if ">hvm</type>" in domain_xml else frozenset({PV_MODEL})

    def close(self) -> None:
        """Let go of the connection; safe twice."""
        self._inner.close()


def _is_host(uuid: str) -> bool:
    """Whether it is dom0, whose UUID is all zeros (``libxlAddDom0``)."""
    return set(uuid) <= {"0", "-"}
