"""What keeps a guest from a live migration: a NIC on a device of this host does not go with the guest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from virtnetplug.backends import known
from virtnetplug.model.operation import Nic, Step


def obstacles(nics: Iterable[Nic]) -> Iterator[str]:
    """A sentence for each domain that has NICs which do not migrate."""
    names: dict[str, list[str]] = {}
    for nic in nics:
        if nic.migrates is False:
            names.setdefault(nic.domain, []).append(nic.alias or nic.mac or "a NIC")
    return (_sentence(domain, its) for domain, its in names.items())


def obstacles_after(domain: str, steps: Iterable[Step]) -> Iterator[str]:
    """A sentence for each NIC that does not migrate after these steps, and did before."""
    named = {(step.name, step.nic) for step in steps}
    staying = {backend.attach_step: backend.release_step for backend in known() if not backend.migrates}
    new = sorted(nic for name, nic in named if name in staying and (staying[name], nic) not in named)
    return iter([_sentence(domain, new)] if new else [])


def _sentence(domain: str, names: list[str]) -> str:
    return (
        f"{', '.join(names)} of {domain} must be detached before a live migration, or the migration needs a destination XML "
        "that names a host device of the destination"
    )
