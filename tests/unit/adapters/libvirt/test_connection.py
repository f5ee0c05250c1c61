"""Which domain a text names, asked of libvirt's test driver."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, suppress

import libvirt
import pytest

from virtnetplug.adapters.libvirt import connection
from virtnetplug.adapters.libvirt.connection import LibvirtHypervisor
from virtnetplug.errors import ConnectionFailed, DomainMissing

UUID, OTHER = "11112222-f6a4-8304-79aa-97f2502e193f", "11112222-f6a4-8304-79aa-97f2502e1940"


@pytest.fixture
def hypervisor() -> Iterator[LibvirtHypervisor]:
    with closing(libvirt.open("test:///default")) as connection:
        for name, uuid in (("web", UUID), (UUID, OTHER)):
            connection.defineXML(
                f"<domain type='test'><name>{name}</name><uuid>{uuid}</uuid><memory>1024</memory>"
                "<os><type>hvm</type></os></domain>"
            )
        yield LibvirtHypervisor(connection)
        for uuid in (UUID, OTHER):
            with suppress(libvirt.libvirtError):
                connection.lookupByUUIDString(uuid).undefine()


@pytest.mark.parametrize(
    ("text", "name"), [("web", "web"), (UUID, "web"), (OTHER, UUID), (UUID.upper(), "web"), ("1", "test")]
)
def test_a_domain_is_named_by_uuid_name_or_id(hypervisor: LibvirtHypervisor, text: str, name: str) -> None:
    assert hypervisor.domain(text).name == name


@pytest.mark.parametrize("text", ["nobody", "11112222-f6a4-8304-79aa-97f2502e1941", "77", "a\0b", "\ud800"])
def test_a_text_that_names_no_domain(hypervisor: LibvirtHypervisor, text: str) -> None:
    with pytest.raises(DomainMissing):
        hypervisor.domain(text)


def test_a_daemon_that_never_answers_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    end = threading.Event()
    monkeypatch.setattr(libvirt, "open", lambda uri: end.wait(60))
    monkeypatch.setattr(connection, "_CONNECT_SECONDS", 0.05)
    try:
        with pytest.raises(
            ConnectionFailed, match=r"qemu\+ssh://away/system has not answered .* host cannot be reached"
        ):
            LibvirtHypervisor.open("qemu+ssh://away/system", run_event_loop=False)
    finally:
        end.set()


def test_what_connecting_raises_comes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libvirt, "open", lambda uri: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        LibvirtHypervisor.open("qemu:///system", run_event_loop=False)


@pytest.mark.parametrize("is_callers", [True, False])
def test_a_caller_with_an_event_loop_gets_the_connection_in_its_own_thread(
    monkeypatch: pytest.MonkeyPatch, is_callers: bool
) -> None:
    threads = []
    connect = libvirt.open
    monkeypatch.setattr(libvirt, "open", lambda uri: threads.append(threading.current_thread()) or connect(uri))
    monkeypatch.setattr(connection.loop, "is_callers", lambda: is_callers)
    LibvirtHypervisor.open("test:///default", run_event_loop=False).close()
    assert [thread is threading.current_thread() for thread in threads] == [is_callers]
