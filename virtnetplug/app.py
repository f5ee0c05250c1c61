"""The composition root: the only file that wires adapters to ports."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

if TYPE_CHECKING:
    from virtnetplug.demo.story import Machines
    from virtnetplug.hotplug.plugger import Plugger
    from virtnetplug.model.audit import Diagnosis
    from virtnetplug.model.operation import Event
    from virtnetplug.ports.domain import Hypervisor
    from virtnetplug.ports.store import Journal
    from virtnetplug.ports.xen import VifDrivers, VifStore


def open(  # noqa: A001 - it is what it does
    uri: str | None = None,
    *,
    state_dir: Path | None = None,
    read_only: bool = False,
    event_loop: Literal["virtnetplug", "caller"] = "virtnetplug",
    on_event: Callable[[Event], None] | None = None,
) -> Plugger:
    """Connect to a hypervisor and give the `Plugger` that works on it.

    `uri` is libvirt's (None: ``LIBVIRT_DEFAULT_URI``, else libvirt's own choice). `state_dir` holds the journal
    (None: ``VIRTNETPLUG_STATE_DIR``, else ``/var/lib/virtnetplug`` for root, the XDG state directory for others). `read_only` opens both
    for looking only. `event_loop` says who runs libvirt's event loop: a thread made here, or the ``caller``, who then must have registered one
    before. `on_event` is called with each event as it happens; what it raises is ignored.
    """
    from virtnetplug.adapters.clock import SystemClock
    from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor
    from virtnetplug.adapters.libvirt.networks import LibvirtNetworks, LibvirtNodeDevices
    from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
    from virtnetplug.adapters.linux.links import LinuxLinks
    from virtnetplug.adapters.sqlite import SqliteJournal
    from virtnetplug.hotplug.call.host import Host
    from virtnetplug.hotplug.plugger import Plugger

    with ExitStack() as stack:
        journal = stack.enter_context(closing(SqliteJournal.open(state_dir, read_only=read_only)))
        run_event_loop = event_loop == "virtnetplug"
        opened = LibvirtHypervisor.open(uri, read_only=read_only, run_event_loop=run_event_loop)
        libvirt = stack.enter_context(closing(opened))
        networks = stack.enter_context(closing(LibvirtNetworks(libvirt)))
        journal.recognise(libvirt.uri, libvirt.key)
        hypervisor, vif_store, vif_drivers = _xen(libvirt) if libvirt.is_xen else (libvirt, None, None)
        host = Host(
            hypervisor=hypervisor,
            networks=networks,
            links=LinuxLinks(),
            host_devices=LinuxHostDevices(),
            nodedevs=LibvirtNodeDevices(libvirt),
            journal=journal,
            clock=SystemClock(),
            publish=_tolerant(on_event),
            vif_store=vif_store,
            vif_drivers=vif_drivers,
        )
        return Plugger(host, stack.pop_all().close)


def _xen(libvirt: Hypervisor) -> tuple[Hypervisor, VifStore | None, VifDrivers | None]:
    """libvirt's Xen driver with what it leaves out, and, where this is the host's dom0, what that has."""
    from virtnetplug.adapters.xen.domain import Dom0, XenHypervisor
    from virtnetplug.adapters.xen.netback import XenVifDrivers
    from virtnetplug.adapters.xen.tools import Toolstack
    from virtnetplug.adapters.xen.xenstore import XenStore

    store, drivers = (XenStore(), XenVifDrivers()) if libvirt.is_local else (None, None)
    return XenHypervisor(libvirt, Dom0(store, drivers, Toolstack())), store, drivers


def journal(state_dir: Path | None = None, *, read_only: bool = True) -> Journal:
    """The journal alone, for what needs no hypervisor."""
    from virtnetplug.adapters.sqlite import SqliteJournal

    return SqliteJournal.open(state_dir, read_only=read_only)


def doctor(uri: str | None = None) -> Diagnosis:
    """Whether this host is fit for SR-IOV hot-plug, and what is missing; raises `NotSupported` for another host's `uri`."""
    from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor
    from virtnetplug.adapters.libvirt.networks import LibvirtNetworks
    from virtnetplug.adapters.linux.host_devices import LinuxHostDevices
    from virtnetplug.adapters.linux.host_facts import LinuxHostFacts
    from virtnetplug.errors import ConnectionFailed, NotSupported
    from virtnetplug.hotplug.report.doctor import Reach, diagnose

    facts, devices = LinuxHostFacts(), LinuxHostDevices()
    try:
        hypervisor = LibvirtHypervisor.open(uri, read_only=True, run_event_loop=False)
    except ConnectionFailed as error:
        return diagnose(facts, devices, Reach(uri=uri or "", fault=error.message))
    with closing(hypervisor), closing(LibvirtNetworks(hypervisor)) as networks:
        if not hypervisor.is_local:
            raise NotSupported(f"{hypervisor.uri} is another host, which can only be looked at there; run this on it")
        return diagnose(facts, devices, Reach(uri=hypervisor.uri, version=hypervisor.version, networks=networks))


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """The ``virtnetplug`` command; the process ends with it."""
    from virtnetplug import interruption

    # What an import makes is no garbage. To look for garbage meanwhile took 7 % of a command's processor time.
    gc.set_threshold(50_000, 20, 20)
    with interruption.listening():
        from virtnetplug import app, cli

        code = cli.main(app, arguments)
        # All is written and closed, and to take the interpreter apart is a fifth of a command's time.
        os._exit(code)


def demo(say: Callable[[str], None], *, keep: bool) -> int:
    from virtnetplug.adapters.linux import links
    from virtnetplug.demo.story import Tools, tell

    def machines(uri: str) -> Machines:
        from virtnetplug.adapters.libvirt.connection import Machines

        return Machines(uri)

    has_own_network = links.leave_network()
    return tell(Tools(machines, lambda uri, place: open(uri, state_dir=place), has_own_network), say, keep=keep)


def domains(uri: str | None = None) -> Mapping[str, str]:
    from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor

    with closing(LibvirtHypervisor.open(uri, read_only=True, run_event_loop=False)) as hypervisor:
        return {domain.uuid: domain.name for domain in hypervisor.domains()}


def uuid_of(uri: str | None, domain: str) -> str:
    from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor

    with closing(LibvirtHypervisor.open(uri, read_only=True, run_event_loop=False)) as hypervisor:
        return hypervisor.domain(domain).uuid


def _tolerant(listener: Callable[[Event], None] | None) -> Callable[[Event], None]:
    """A listener that cannot break an operation."""

    def publish(event: Event) -> None:
        if listener is None:
            return
        try:
            listener(event)
        except Exception:
            import logging

            logging.getLogger("virtnetplug").exception("an event listener failed")

    return publish
