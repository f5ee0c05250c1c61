"""A hypervisor whose failed attach leaves a NIC that it does not list: undone and recovered, nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from lxml import etree

from tests.contract.faults import Crash, Trigger, faulty
from tests.fakes.host_devices import FakeHostDevices
from tests.fakes.hypervisor import FakeDomain, FakeHypervisor
from virtnetplug import Plugger, Result
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.errors import (
    HypervisorFailed,
    NeedsReplace,
    Refused,
    RollbackIncomplete,
    VirtnetplugError,
    XenStoreFailed,
)
from virtnetplug.hotplug.call.host import Host
from virtnetplug.lifecycle import State
from virtnetplug.model.interface import Interface
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Ends, Lack, Stray

MAC = "52:54:00:00:00:01"
NIC = f"<interface type='bridge'><mac address='{MAC}'/><source bridge='br0'/><alias name='ua-1'/></interface>"


class LeakyDomain(FakeDomain):
    """Xen's, in what matters: `fault` is what an attach ends in, and then the host shows what libvirt does not list."""

    evicts_cleanly = True
    changes_in_place = False
    fault: VirtnetplugError | None = None
    stays: VirtnetplugError | None = None
    hidden: Sequence[Stray] = ()
    states: Ends | None = None

    def attach(self, element: str, half: Half) -> None:
        if self.fault is None or half is Half.CONFIG:
            super().attach(element, half)
            return
        self.hidden = (Stray("vif7.1", etree.fromstring(element).find("mac").get("address")),)
        raise self.fault

    def detach(self, alias: str, half: Half) -> None:
        super().detach(alias, half)
        if self.fault is not None and half is Half.LIVE:
            self.hidden = (Stray("vif7.1", MAC),)

    def strays(self) -> Sequence[Stray]:
        return self.hidden

    def evict(self, net: Interface) -> bool:
        if self.stays is not None:
            raise self.stays
        self.hidden = tuple(stray for stray in self.hidden if stray.mac != str(net.mac))
        return True

    def ends(self, mac: Mac | str | None, target: str | None = None) -> Ends | None:
        return self.states

    def lacks(self, net: Interface, actual_type: str) -> Sequence[Lack]:
        lacking = [Lack("mtu", "it has no MTU")] if net.mtu is not None else []
        return [*lacking, *([Lack("type", "it has no devices")] if actual_type == "hostdev" else [])]


@pytest.fixture
def make(tmp_path: Path) -> Callable[[], Host]:
    devices = FakeHostDevices()
    hypervisor = FakeHypervisor(devices)
    hypervisor.add_bridge("br0")
    hypervisor.add_bridge("br1")
    hypervisor.add_network(Network(name="default", forward="nat", bridge="virbr0"))
    hypervisor.all["web"] = LeakyDomain(hypervisor, "web")
    return lambda: Host(
        hypervisor=hypervisor,
        networks=hypervisor,
        links=hypervisor,
        host_devices=devices,
        nodedevs=devices,
        journal=SqliteJournal.open(tmp_path),
        clock=hypervisor.clock,
        publish=lambda event: None,
    )


@pytest.fixture
def domain(make: Callable[[], Host]) -> LeakyDomain:
    return make().hypervisor.domain("web")  # type: ignore[return-value]


@pytest.fixture
def plugger(make: Callable[[], Host]) -> Plugger:
    return Plugger(make(), lambda: None)


def test_a_failed_attach_takes_out_what_it_left(plugger: Plugger, domain: LeakyDomain) -> None:
    domain.fault = HypervisorFailed("libxenlight failed to attach network device")
    with pytest.raises(HypervisorFailed, match="failed to attach") as caught:
        plugger.attach("web", [NIC])
    assert domain.hidden == () and caught.value.undo_failures == []


def test_one_that_cannot_be_taken_out_leaves_the_operation_open(plugger: Plugger, domain: LeakyDomain) -> None:
    domain.fault, domain.stays = HypervisorFailed("failed"), XenStoreFailed("it stays")
    with pytest.raises(RollbackIncomplete, match="it stays"):
        plugger.attach("web", [NIC])
    (outcome,) = plugger.recover()
    assert outcome.result is Result.INCOMPLETE and "vif7.1" in outcome.message
    domain.stays = None
    (outcome,) = plugger.recover()
    assert outcome.result is Result.UNDONE and domain.hidden == () and plugger.recover() == ()


def test_a_crash_then_recover_takes_it_out(make: Callable[[], Host], plugger: Plugger, domain: LeakyDomain) -> None:
    domain.fault = HypervisorFailed("failed")
    trigger = Trigger(-1, "none")
    with pytest.raises(HypervisorFailed):
        Plugger(faulty(make(), trigger), lambda: None).attach("web", [NIC])
    for k in range(trigger.calls.index("attach") + 1, len(trigger.calls)):
        host = make()
        with pytest.raises(Crash):
            Plugger(faulty(host, Trigger(k, "crash")), lambda: None).attach("web", [NIC])
        host.journal.close()
        plugger.recover()
        assert domain.hidden == (), trigger.calls[k]


def test_a_detach_takes_out_what_libvirt_left(plugger: Plugger, domain: LeakyDomain) -> None:
    plugger.attach("web", [NIC])
    domain.fault = HypervisorFailed("")
    assert plugger.detach("web", "ua-1").warnings == () and domain.hidden == ()


def test_and_says_so_where_it_cannot(plugger: Plugger, domain: LeakyDomain) -> None:
    plugger.attach("web", [NIC])
    domain.fault, domain.stays = HypervisorFailed(""), XenStoreFailed("it stays")
    (warning,) = plugger.detach("web", "ua-1").warnings
    assert "it stays" in warning


def test_its_mac_is_taken(plugger: Plugger, domain: LeakyDomain) -> None:
    """By somebody's NIC: to undo this attach would take that out."""
    domain.hidden = (Stray("vif7.1", MAC),)
    with pytest.raises(Refused, match=r"that of vif7\.1") as caught:
        plugger.attach("web", [NIC])
    assert caught.value.reason == "duplicate-mac" and domain.hidden
    plugger.attach("web", [NIC.replace(MAC, "52:54:00:00:00:02")])


def test_the_states_are_those_of_the_host(plugger: Plugger, domain: LeakyDomain) -> None:
    plugger.attach("web", [NIC])
    for ends, told in (
        (Ends(State.CONNECTED, State.INIT_WAIT), (State.CONNECTED, State.INIT_WAIT)),
        (Ends(None, State.CLOSING), (State.CLOSED, State.CLOSING)),
        (None, (State.UNKNOWN, State.CONNECTED)),
    ):
        domain.states = ends
        nic = plugger.show("web", "ua-1").nic
        assert (nic.frontend, nic.backend) == told


def test_metrics_get_them_too(plugger: Plugger, domain: LeakyDomain) -> None:
    plugger.attach("web", [NIC])
    assert plugger.states() == {}, "as with QEMU, whose host shows none"
    domain.states = Ends(None, State.INIT_WAIT)
    assert plugger.states() == {(domain.uuid, "ua-1"): (State.CLOSED, State.INIT_WAIT)}
    domain.destroy()
    assert plugger.states() == {}


def test_what_it_has_not_is_refused(plugger: Plugger, domain: LeakyDomain) -> None:
    with_mtu = NIC.replace("<source", "<mtu size='1400'/><source")
    with pytest.raises(Refused, match="it has no MTU") as caught:
        plugger.attach("web", [with_mtu])
    assert caught.value.reason == "not-supported"
    plugger.attach("web", [NIC])
    with pytest.raises(Refused, match="it has no MTU"):
        plugger.update("web", "ua-1", {"mtu": 1400}, replace=True)


def test_an_update_takes_it_out_and_puts_it_in(plugger: Plugger, domain: LeakyDomain) -> None:
    plugger.attach("web", [NIC])
    with pytest.raises(NeedsReplace, match="`replace=True`"):
        plugger.update("web", "ua-1", {"source_bridge": "br1"})
    assert plugger.update("web", "ua-1", {"source_bridge": "br1"}, replace=True).result is Result.DONE
    assert "host_net_add" in [step.name for step in plugger.history()[0].steps]


def test_a_pool_behind_a_network_is_seen(plugger: Plugger, domain: LeakyDomain, make: Callable[[], Host]) -> None:
    make().networks.add_network(Network(name="pool", forward="hostdev"))  # type: ignore[attr-defined]
    with pytest.raises(Refused, match="it has no devices"):
        plugger.attach("web", ["<interface type='network'><source network='pool'/></interface>"])
