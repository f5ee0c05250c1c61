"""The guest is started anew at the worst moment: no NIC comes into a run that is not asked for it, stays in one that was to lose it, or is lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.faults import AtCall, Crash, Trigger, faulty
from tests.contract.test_hostdev import nic as vf_nic
from tests.contract.test_hostdev import pool as pool
from tests.contract.test_rebind_pf import PF
from tests.contract.world import World
from virtnetplug import xml
from virtnetplug.errors import HypervisorFailed, NotApplied, RollbackIncomplete, VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Half, Result, Scope

pytestmark = pytest.mark.timeout(60)


class _Beside(Trigger):
    """Does `deed` before the `number`-th call of that name that `is_meant`, and dies at the `dies_at`-th."""

    def __init__(self, call: str, deed: Callable[[], Any], *, number: int = 1, dies_at: int = 0) -> None:
        super().__init__(-1, "crash")
        self._call, self._deed, self._number, self._dies_at, self._seen = call, deed, number, dies_at, 0

    def is_meant(self, *args: Any) -> bool:
        return True

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        if name == self._call and self.is_meant(*args):
            self._seen += 1
            self.fired = self.fired or self._seen == self._dies_at
            if self._seen == self._number:
                self._deed()
        return super().around(name, call, *args, **named)


class _BesideDefine(_Beside):
    def is_meant(self, *args: Any) -> bool:
        return args[1] is Half.CONFIG


def _cycle(world: World, *, holds: bool = False) -> None:
    world.guest.restart()
    world.guest.resume()
    if holds:
        world.guest.hold()


def _process(world: World, trigger: Trigger) -> Plugger:
    return Plugger(faulty(world.reopen(), trigger), lambda: None)


def _nics(world: World) -> tuple[list[str], list[str]]:
    """The aliases that the guest has, and those of the definition."""
    live, config = (
        sorted(str(net.alias) for net in xml.devices(world.definition(half)).nets) for half in (Half.LIVE, Half.CONFIG)
    )
    return live, config


def _held(world: World, *numbers: int) -> None:
    world.plugger.attach(world.name, [world.bridge_nic(number) for number in numbers], scope=Scope.BOTH)
    world.guest.hold()


def _detach(plugger: Plugger, world: World, *nics: str, wait: float = 30) -> Any:
    return plugger.detach(world.name, list(nics or ["ua-nic1"]), scope=Scope.BOTH, wait=wait)


def _recovered(world: World, wait: float = 10) -> list[Result]:
    return [outcome.result for outcome in world.plugger.recover(wait=wait)]


# -- a detach --------------------------------------------------------------------------------------------


def test_held_until_the_deadline_and_started_before_it_is_out_of_the_definition(fake: World) -> None:
    _held(fake, 1)
    act = _process(fake, _Beside("detach", lambda: _cycle(fake, holds=True), number=2))
    assert _detach(act, fake, wait=1).result is Result.PENDING
    fake.guest.resume()
    assert (_recovered(fake), _nics(fake)) == ([Result.DONE], ([], []))


def test_a_detach_of_the_running_guest_alone_asks_no_other_run(fake: World) -> None:
    _held(fake, 1)
    die(fake, lambda p: p.detach(fake.name, "ua-nic1", scope=Scope.LIVE), "detach", after=True)
    _cycle(fake)
    assert (_recovered(fake), _nics(fake)) == ([Result.DONE], (["ua-nic1"], ["ua-nic1"]))


def test_dies_between_two_undefines(fake: World) -> None:
    _held(fake, 1, 2)
    fake.guest.resume()
    act = _process(fake, _Beside("detach", lambda: _cycle(fake), number=3, dies_at=4))
    with pytest.raises(Crash):
        _detach(act, fake, "ua-nic1", "ua-nic2")
    assert (_recovered(fake), _nics(fake)) == ([Result.DONE], ([], []))


def test_dies_while_the_second_run_is_waited_for(fake: World) -> None:
    _held(fake, 1)
    fake.later(1.0, lambda: _cycle(fake, holds=True))
    with pytest.raises(Crash):
        _detach(_process(fake, _Beside("xml", lambda: None, number=99, dies_at=12)), fake)
    (record,) = fake.host.journal.open_operations()
    assert record.run_asked != record.domain_id
    assert (_recovered(fake, 1), _nics(fake)[0]) == ([Result.PENDING], ["ua-nic1"])
    fake.guest.resume()
    assert (_recovered(fake), _nics(fake)) == ([Result.DONE], ([], []))


@pytest.mark.parametrize("number", range(2, 9))
def test_off_when_the_recovery_looks_and_started_meanwhile(fake: World, number: int) -> None:
    _held(fake, 1)
    die(fake, lambda p: _detach(p, fake), "detach", after=True)
    fake.guest.destroy()
    began = []

    class At(Trigger):
        def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
            if self.count == number:
                began.append(fake.guest.start())
            return super().around(name, call, *args, **named)

    _process(fake, At(-1, "none")).recover(wait=2)
    assert began
    fake.guest.resume()
    _recovered(fake)
    assert _nics(fake) == ([], []) and fake.host.journal.open_operations() == []


def test_the_second_ask_fails_in_the_second_run(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _held(fake, 1, 2)
    detach, asked = fake.guest.detach, list[str]()
    fake.later(1.0, lambda: (_cycle(fake, holds=True), asked.clear()))

    def failing(alias: str, half: Half) -> None:
        asked.append(alias)
        if asked == ["ua-nic1", "ua-nic2"] and fake.guest.state().id > first:
            raise HypervisorFailed("libvirt would not ask")
        detach(alias, half)

    first = fake.guest.state().id
    with monkeypatch.context() as broken:
        broken.setattr(fake.guest, "detach", failing)
        with pytest.raises(VirtnetplugError) as caught:
            _detach(fake.plugger, fake, "ua-nic1", "ua-nic2", wait=10)
    assert caught.value.exit_code == 5
    fake.guest.resume()
    assert (_recovered(fake), _nics(fake)) == ([Result.UNDONE], (["ua-nic1", "ua-nic2"],) * 2)


def test_a_nic_comes_back_into_the_run_that_was_asked(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _held(fake, 1)
    fake.later(1.0, lambda: _cycle(fake, holds=True))
    read, first, failed = fake.guest.xml, fake.guest.state().id, list[Half]()

    def blind(half: Half) -> str:
        is_asked = fake.guest.state().id > first and "ua-nic1" in fake.guest._leaving
        if is_asked and half is Half.LIVE and not failed:
            failed.append(half)
            raise HypervisorFailed("cannot look")
        return read(half)  # type: ignore[no-any-return]

    with monkeypatch.context() as broken:
        broken.setattr(fake.guest, "xml", blind)
        with pytest.raises(RollbackIncomplete, match="still may"):
            _detach(fake.plugger, fake, wait=10)
    fake.guest.resume()
    assert (_recovered(fake), _nics(fake)) == ([Result.UNDONE], (["ua-nic1"], ["ua-nic1"]))


def test_a_run_that_comes_while_the_recovery_waits_is_asked_at_once(fake: World) -> None:
    """That the earlier call had asked says nothing of it."""
    _held(fake, 1)
    with pytest.raises(Crash):
        _detach(_process(fake, _Beside("xml", lambda: None, number=99, dies_at=6)), fake)
    fake.later(1.0, lambda: _cycle(fake))
    assert (_recovered(fake, 4), _nics(fake)) == ([Result.DONE], ([], []))


def test_the_definition_of_a_nic_without_an_alias_of_its_own(fake: World) -> None:
    """As virt-install defines them: libvirt names it in the guest alone."""
    mac = "52:54:00:00:00:31"
    fake.guest.attach(
        f"<interface type='bridge'><mac address='{mac}'/><source bridge='br0'/><model type='virtio'/></interface>",
        Half.CONFIG,
    )
    fake.guest.destroy()
    fake.guest.start()
    die(fake, lambda p: p.detach(fake.name, mac, scope=Scope.CONFIG), "detach_element")
    assert _recovered(fake) == [Result.DONE] and _nics(fake)[1] == []


def test_what_only_the_definition_has_is_not_done_while_a_run_has_it(fake: World) -> None:
    """Dies before the definition is changed; the next run is given the NIC, and nobody has planned to ask for it."""
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.CONFIG)
    die(fake, lambda p: _detach(p, fake), "detach")
    _cycle(fake)
    assert _recovered(fake) == [Result.UNDONE] and _nics(fake) == (["ua-nic1"], ["ua-nic1"])


def test_nor_where_the_guest_was_off_when_it_was_looked_at(fake: World) -> None:
    fake.plugger.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    off = _Beside("xml", fake.guest.destroy)
    act = Plugger(faulty(faulty(fake.reopen(), off), _BesideDefine("detach", fake.guest.start)), lambda: None)
    with pytest.raises(NotApplied, match="was started with ua-nic1 meanwhile"):
        _detach(act, fake)
    assert _nics(fake) == (["ua-nic1"], ["ua-nic1"]) and fake.host.journal.open_operations() == []


def test_an_undo_comes_into_the_run_that_the_definition_may_have_made(fake: World) -> None:
    """It is started between two undefines, and then a look fails."""
    _held(fake, 1, 2)
    fake.guest.resume()
    began, failed = list[int](), list[str]()

    class Blind(_BesideDefine):
        def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
            if name == "xml" and args[0] is Half.LIVE and began and not failed:
                failed.append(name)
                raise HypervisorFailed("for the test")
            return super().around(name, call, *args, **named)

    act = _process(fake, Blind("detach", lambda: (_cycle(fake), began.append(1)), number=2))
    with pytest.raises(HypervisorFailed) as caught:
        _detach(act, fake, "ua-nic1", "ua-nic2")
    assert failed and caught.value.exit_code == 4
    assert _nics(fake) == (["ua-nic1", "ua-nic2"],) * 2 and _recovered(fake) == []


# -- others ----------------------------------------------------------------------------------------------


def test_an_attach_is_not_done_in_no_run(fake: World) -> None:
    """Between the look that confirms the NIC and its definition."""
    act = _process(fake, _BesideDefine("attach", lambda: _cycle(fake)))
    with pytest.raises(NotApplied, match="ended before"):
        act.attach(fake.name, [fake.bridge_nic(1)], scope=Scope.BOTH)
    assert _nics(fake) == ([], []) and fake.plugger.audit().findings == ()


def test_an_attach_is_undone_in_the_run_that_its_definition_made(fake: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its undo could not write the definition, which gives the NIC to the next run."""
    attach, detach = fake.guest.attach, fake.guest.detach

    def unwritable(call: Callable[[str, Half], None], name: str) -> Callable[[str, Half], None]:
        def act(what: str, half: Half) -> None:
            if half is Half.CONFIG and name in what:
                raise HypervisorFailed("not written")
            call(what, half)

        return act

    with monkeypatch.context() as broken:
        broken.setattr(fake.guest, "attach", unwritable(attach, "ua-nic2"))
        broken.setattr(fake.guest, "detach", unwritable(detach, ""))
        with pytest.raises(RollbackIncomplete):
            fake.plugger.attach(fake.name, [fake.bridge_nic(1), fake.bridge_nic(2)], scope=Scope.BOTH)
    _cycle(fake)
    assert _recovered(fake) == [Result.UNDONE] and _nics(fake) == ([], [])


def test_a_vf_that_a_new_run_has_is_in_no_quarantine(pool: World) -> None:
    """The guest is started anew while the VF that it had is given back, and gets it."""
    pool.plugger.attach(pool.name, [vf_nic(1)], scope=Scope.BOTH)
    _cycle(pool)
    broken = AtCall("networks.delete_port", after=True, kind="fail")
    with pytest.raises(VirtnetplugError):
        _process(pool, broken).detach(pool.name, "ua-vf1", scope=Scope.BOTH, wait=1)
    _process(pool, _Beside("host_devices.device", lambda: _cycle(pool))).recover(wait=10)
    assert [each.address for each in pool.host.journal.holdings() if each.quarantine] == []


def test_a_new_run_keeps_the_port_of_its_nic(fake: World) -> None:
    """It is started while the undo of a replacement looks for ports that nobody is in."""
    fake.plugger.attach(fake.name, [fake.network_nic(2)], scope=Scope.BOTH)
    fake.guest.hold()
    change = {"model": "e1000"}
    act = lambda p: p.update(fake.name, "ua-nic2", change, replace=True, scope=Scope.BOTH, wait=1)  # noqa: E731
    die(fake, act, "detach", after=True)
    _cycle(fake)
    _process(fake, _Beside("networks.ports", lambda: _cycle(fake))).recover(wait=10)
    assert fake.plugger.audit().findings == () and fake.host.journal.open_operations() == []


def test_a_vf_that_is_put_back_comes_into_its_own_run_alone(pool: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replacement fails, and its undo prepares the old VF."""
    pool.plugger.attach(pool.name, [vf_nic(5)])
    act = _process(pool, _Beside("networks.create_port", lambda: _cycle(pool), number=2))
    attach, failed = pool.guest.attach, list[Half]()

    def fail_once(element: str, half: Half) -> None:
        if not failed:
            failed.append(half)
            raise HypervisorFailed("not plugged")
        attach(element, half)

    monkeypatch.setattr(pool.guest, "attach", fail_once)
    with pytest.raises(VirtnetplugError):
        act.update(pool.name, "ua-vf5", {"boot_order": 1}, replace=True, wait=5)
    assert _nics(pool) == ([], []) and pool.host.journal.open_operations() == []
    assert _recovered(pool) == [] and pool.host.journal.holdings() == []


@pytest.mark.parametrize("number", [1, 2])
def test_nor_does_a_rebind_of_its_pf_put_it_into_another(pool: World, number: int) -> None:
    pool.plugger.attach(pool.name, [vf_nic(5), vf_nic(6)])
    act = _process(pool, _Beside("networks.create_port", lambda: _cycle(pool), number=number))
    act.rebind_pf(PF, reload_driver=True, allow_outage=True, wait=5)
    assert _nics(pool) == ([], []) and pool.host.journal.open_operations() == []


def _dies_healing(world: World, deed: Callable[[], object] = lambda: None) -> None:
    world.plugger.attach(world.name, [world.network_nic(1)], scope=Scope.BOTH)
    world.restart_network()

    class Act(Trigger):
        def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
            if name == "networks.restore_port" and not self.fired:
                deed()
                call(*args, **named)
                self.fired = True
            return super().around(name, call, *args, **named)

    with pytest.raises(Crash):
        _process(world, Act(-1, "crash")).heal(world.name, "ua-nic1")


def test_a_plan_of_a_heal_whose_run_has_ended(fake: World) -> None:
    _dies_healing(fake)
    _cycle(fake)
    assert "would be undone" in str(fake.plugger.plan_recover())
    assert _recovered(fake) == [Result.UNDONE]


def test_a_port_that_a_heal_made_does_not_outlive_its_domain(fake: World) -> None:
    hypervisor: Any = fake.host.hypervisor

    def end() -> None:
        fake.guest.destroy()
        del hypervisor.all[fake.name]

    _dies_healing(fake, end)
    assert _recovered(fake) == [Result.LEFT] and hypervisor.net_ports == {}
