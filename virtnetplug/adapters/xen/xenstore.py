"""The areas of vifs in xenstore: the backend's, the guest's, and libxl's own records of them.

The layout is that of libxl's ``libxl_nic.c`` and ``libxl_device.c``; states are those of ``xen/include/public/io/xenbus.h``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from virtnetplug.adapters.xen import tools
from virtnetplug.adapters.xen.tools import Tools, ToolWatch
from virtnetplug.errors import XenStoreFailed
from virtnetplug.lifecycle import State
from virtnetplug.ports.xen import FrontendWatch, Vif

_STATES = tuple(State)
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_BACKEND = re.compile(r"/local/domain/(\d+)/backend/vif/(\d+)/(\d+)")
_RING = re.compile(r"(queue-\d+/)?((tx-|rx-)?ring-ref|event-channel(-tx|-rx)?)|multi-queue-num-queues")
"""What ``xennet_connect`` of ``xen-netfront.c`` writes of its rings."""

Area = Mapping[str, str | None]
Watch = Callable[[Sequence[str]], AbstractContextManager[ToolWatch]]


class XenStore:
    """`ports.xen.VifStore` of the host whose dom0 this is."""

    def __init__(self, store: Tools | None = None, watch: Watch = tools.watch) -> None:
        self._store = Tools() if store is None else store
        self._watch = watch

    def vifs(self, domain_id: int) -> Sequence[Vif]:
        records = _areas(self._store.tree(_records(domain_id)))
        backends = {0: _areas(self._store.tree(_backends(domain_id)))}
        for elsewhere in {_backend_domain(record, domain_id, number) for number, record in records.items()} - {0}:
            backends[elsewhere] = _areas(self._store.tree(_backends(domain_id, elsewhere)))
        frontends = _areas(self._store.tree(_frontends(domain_id)))
        numbers = sorted({*records, *frontends, *(number for areas in backends.values() for number in areas)})
        return [_vif(domain_id, number, records.get(number), backends, frontends.get(number)) for number in numbers]

    def process(self, domain_id: int) -> str:
        """libxl writes ``start_time`` when it builds the domain (``libxl__domain_build``)."""
        vm = self._store.read(f"/local/domain/{domain_id}/vm")
        made = self._store.read(f"{vm}/start_time") if vm is not None else None
        return f"{_BOOT.read_text().strip()} {domain_id} {made}" if made is not None else ""

    def vif(self, domain_id: int, number: int) -> Vif | None:
        return next((vif for vif in self.vifs(domain_id) if vif.number == number), None)

    def remains(self) -> frozenset[int]:
        """Looks at backends in dom0 alone. libxl makes a domain's own area before the areas of its vifs, and removes it after them."""
        names = self._store.children(_backends())  # first: a domain that begins after this look is not among them
        if not names:
            return frozenset()
        living = self._store.children("/local/domain")
        if "0" not in living:  # dom0 always is, and xenstore-list reports a failure like an area that is not there
            raise XenStoreFailed("/local/domain cannot be listed. Check that xenstored runs.")
        gone = names - living - self._store.children("/libxl")
        return frozenset(int(name) for name in gone if name.isdecimal() and self._is_by_script(int(name)))

    def _is_by_script(self, domain_id: int) -> bool:
        """Whether all areas are a script's: libxl's areas have the states of both ends, and where the other end is."""
        areas = _areas(self._store.tree(_backends(domain_id))).values()
        return any(areas) and not any({"state", "frontend"} & area.keys() for area in areas)

    def clear(self, domain_id: int) -> None:
        if domain_id in self.remains():
            self._store.remove(_backends(domain_id))

    def watch(self, domain_id: int) -> AbstractContextManager[ToolWatch]:
        return self._watch([_backends(domain_id), _frontends(domain_id), _records(domain_id)])

    def rings(self, vif: Vif) -> Mapping[str, str]:
        area = self._store.tree(f"{_frontends(vif.domain_id)}/{vif.number}")
        return {key: value for key, value in sorted(area.items()) if value is not None and _RING.fullmatch(key)}

    @contextmanager
    def watch_frontends(self, vifs: Sequence[Vif]) -> Iterator[FrontendWatch]:
        """A guest that connects anew writes its state several times; a guest that does not, writes no state."""
        paths = {f"{_frontends(vif.domain_id)}/{vif.number}/state": vif.name for vif in vifs}
        with self._watch(list(paths)) as changes:
            yield _Frontends(changes, paths)

    def set_plumbed(self, vif: Vif) -> None:
        """Write ``hotplug-status``, as ``success`` in Xen's ``xen-hotplug-common.sh`` does."""
        area = f"{_backends(vif.domain_id, vif.backend_domain)}/{vif.number}"
        self._store.write(f"{area}/hotplug-status", "connected")


class _Frontends:
    def __init__(self, changes: ToolWatch, paths: Mapping[str, str]) -> None:
        self._changes, self._paths = changes, paths
        self._moved: set[str] = set()

    def moved(self) -> frozenset[str]:
        while paths := self._changes.read(0):
            self._moved.update(self._paths[path] for path in paths if path in self._paths)
        return frozenset(self._moved)


def _backends(domain_id: int | None = None, backend_domain: int = 0) -> str:
    """The area of the backends of one domain's vifs, or of all vifs."""
    area = f"/local/domain/{backend_domain}/backend/vif"
    return area if domain_id is None else f"{area}/{domain_id}"


def _frontends(domain_id: int) -> str:
    return f"/local/domain/{domain_id}/device/vif"


def _records(domain_id: int) -> str:
    return f"/libxl/{domain_id}/device/vif"


def _areas(tree: Area) -> Mapping[int, dict[str, str | None]]:
    """The area of each vif, by the vif's number; nodes that are in no vif's area are left out."""
    found: dict[int, dict[str, str | None]] = {}
    for path, value in tree.items():
        number, _, key = path.partition("/")
        if number.isdecimal():
            found.setdefault(int(number), {})[key] = value
    return found


def _backend_domain(record: Area, domain_id: int, number: int) -> int:
    """From the record alone: the guest could name another guest's backend in its own area."""
    found = _BACKEND.fullmatch(record.get("backend") or "")
    return int(found[1]) if found and (int(found[2]), int(found[3])) == (domain_id, number) else 0


def _vif(
    domain_id: int, number: int, record: Area | None, backends: Mapping[int, Mapping[int, Area]], frontend: Area | None
) -> Vif:
    where = 0 if record is None else _backend_domain(record, domain_id, number)
    backend = backends[where].get(number)
    known = {**(record or {}), **{key: value for key, value in (backend or {}).items() if value is not None}}
    live = backend or {}
    return Vif(
        domain_id=domain_id,
        number=number,
        backend_domain=where,
        backend=_state(backend),
        frontend=_state(frontend),
        is_recorded=record is not None,
        is_online=live.get("online") == "1",
        mac=(known.get("mac") or "").lower() or None,
        bridge=known.get("bridge") or None,
        script=known.get("script") or None,
        link_name=known.get("vifname") or None,
        rate=known.get("rate") or None,
        mtu=_number(known.get("mtu")),
        hotplug_status=live.get("hotplug-status"),
        hotplug_error=live.get("hotplug-error") or None,
    )


def _state(area: Area | None) -> State | None:
    if area is None:
        return None
    number = _number(area.get("state"))
    return _STATES[number] if number is not None and number < len(_STATES) else State.UNKNOWN


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 10 else None
