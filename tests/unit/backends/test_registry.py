"""Which backend serves what, and how a third party adds one."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from virtnetplug import backends, xml
from virtnetplug.backends import backend_for, backend_of
from virtnetplug.backends.emulated import TYPES, Emulated
from virtnetplug.backends.noop import Noop
from virtnetplug.errors import NotSupported
from virtnetplug.model import interface
from virtnetplug.model.actual import ActualDevice

example = Noop("example")


@pytest.fixture
def third_party(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    point = EntryPoint("example", "tests.unit.backends.test_registry:example", backends.GROUP)
    backends._third_party.cache_clear()
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point] if group == backends.GROUP else [])
    yield
    backends._third_party.cache_clear()


def test_every_emulated_type_has_the_emulated_backend() -> None:
    for kind in TYPES:
        assert isinstance(backend_for(ActualDevice(type=kind)), Emulated), kind


def test_every_type_that_a_request_may_have_is_decided() -> None:
    assert set(interface.TYPES) - TYPES == {"hostdev"}


def test_a_type_without_backend_is_refused_by_name() -> None:
    with pytest.raises(NotSupported, match="'example'"):
        backend_for(ActualDevice(type="example"))


def test_an_entry_point_adds_a_kind(third_party: None) -> None:
    assert backend_for(ActualDevice(type="example")) is example
    assert isinstance(backend_for(ActualDevice(type="bridge")), Emulated)


def test_a_nic_in_a_guest_has_the_backend_of_its_type() -> None:
    net = xml.interface("<interface type='bridge'><source bridge='br0'/></interface>")
    assert isinstance(backend_of(net), Emulated)
