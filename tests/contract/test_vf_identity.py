"""A VF is itself, and not its address: nothing is written to another VF that has come there, and what is held of the old one ends."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.deaths import die
from tests.contract.faults import Crash, Trigger, faulty
from tests.contract.test_hostdev import FIRST, by_address, devices, kinds, nic, pool, requested
from tests.contract.world import World
from tests.fakes.host_devices import PF_DRIVER, PFS, VF_DRIVER
from virtnetplug import xml
from virtnetplug.backends import Choice, Order
from virtnetplug.backends.lending import claim
from virtnetplug.backends.returning import return_to_host
from virtnetplug.backends.vf_identity import User, apply, detach, make_port, reattach
from virtnetplug.backends.vf_settings import put
from virtnetplug.errors import HostDeviceBusy, HostDeviceFailed, Refused, VfChanged, VirtnetplugError
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.holding import Holding
from virtnetplug.model.host_device import VFIO_DRIVER, VfSettings
from virtnetplug.model.operation import Half, Result, Scope
from virtnetplug.model.run import Run

__all__ = ["pool"]

BY_HAND: dict[str, Any] = {"vlan": 7, "trust": True, "max_rate": 300}
"""What somebody set of the VF that has come: it is to stay so."""

WRITES = {"host_devices.apply", "nodedevs.detach", "nodedevs.reattach", "networks.create_port", "attach"}
"""Calls that write to a VF: between the look and the write nothing can be compared."""


def lent(world: World, request: Any) -> None:
    """Attach it: the first VF, which had a rate of its own before."""
    devices(world).set_by_hand(FIRST, max_rate=500)
    (attached,) = world.plugger.attach(world.name, [request]).nics
    assert attached.host_address == FIRST


def made_anew(world: World) -> None:
    fake = devices(world)
    fake.held.pop(FIRST, None)
    fake.set_numvfs(PFS[0], 0)
    fake.set_numvfs(PFS[0], 4)


def bound_anew(world: World) -> None:
    """Of a PF whose VFs outlive its driver."""
    fake = devices(world)
    fake.held.pop(FIRST, None)
    fake.bind_pf(PFS[0], None)
    fake.bind_pf(PFS[0], PF_DRIVER)
    fake.netdevs[PFS[0]] = dataclasses.replace(fake.netdevs[PFS[0]], name="eth0")
    fake.replace(PFS[0], netdev="eth0")
    fake.bind(FIRST, VF_DRIVER)


def started_anew(world: World) -> None:
    devices(world).start_anew("boot-2", world.host.clock.now() + 1)


def renumbered(world: World) -> None:
    """The card counts its VFs otherwise, and nothing else is to be seen of it."""
    devices(world).replace(FIRST, vf_index=3)
    devices(world).held.pop(FIRST, None)
    devices(world).bind(FIRST, VF_DRIVER)


CHANGES: dict[str, tuple[Callable[[World], None], str]] = {
    "numvfs": (made_anew, "made anew"),
    "driver": (bound_anew, "bound anew"),
    "boot": (started_anew, "started anew"),
    "index": (renumbered, "VF 3 of PF"),
}


def set_by_hand(world: World) -> VfSettings:
    return devices(world).set_by_hand(FIRST, **BY_HAND)


def writes(world: World) -> list[str]:
    """What was done to the VF."""
    return [call for call in devices(world).calls if call.split()[0] in ("apply", "bind", "detach", "reattach")]


def forget_which(world: World) -> None:
    """The row is as a version wrote it that did not know which VF it was."""
    (holding,) = world.host.journal.holdings()
    world.host.journal.amend_holding(dataclasses.replace(holding, identity=None), holding)


def is_over(world: World) -> bool:
    """Nothing is held, and its pool has no port of it."""
    return world.host.journal.holdings() == [] and list(world.host.networks.ports("pool")) == []


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("managed", ["yes", "no", "pool"])
def test_a_vf_that_is_another_one_is_let_go_and_not_written_to(pool: World, how: str, managed: str) -> None:
    """The guest has ended with the VF, and somebody is at it before it is given back."""
    change, words = CHANGES[how]
    lent(pool, nic() if managed == "pool" else by_address(managed=managed))
    pool.guest.destroy()
    change(pool)
    kept = set_by_hand(pool)
    devices(pool).calls.clear()
    (outcome,) = pool.plugger.recover()
    assert (outcome.operation, outcome.result, outcome.reason) == ("return", Result.DONE, "vf-changed")
    assert words in outcome.message and str(FIRST) in outcome.message
    assert (writes(pool), devices(pool).set[FIRST], devices(pool).found[FIRST].driver) == ([], kept, VF_DRIVER)
    assert is_over(pool) and pool.plugger.recover() == ()


@pytest.mark.parametrize("how", CHANGES)
def test_a_detach_says_that_the_vf_is_another_one(pool: World, how: str) -> None:
    change, words = CHANGES[how]
    lent(pool, nic())
    domain: Any = pool.host.hypervisor.domain(pool.name)
    kept, detach = [], domain.detach

    def gone(*args: Any) -> None:
        detach(*args)
        change(pool)
        kept.append(set_by_hand(pool))
        devices(pool).calls.clear()

    domain.detach = gone
    outcome = pool.plugger.detach(pool.name, "ua-vf1")
    (warning,) = outcome.warnings
    assert outcome.result is Result.DONE and words in warning and "Nothing was written to it" in warning
    assert (writes(pool), [devices(pool).set[FIRST]]) == ([], kept) and is_over(pool)


def test_the_same_vf_is_given_back_as_it_was(pool: World) -> None:
    """Its own driver, its guest, its link and its PF's interface may change as they like."""
    lent(pool, nic())
    fake = devices(pool)
    fake.links[PFS[0]] = False
    fake.netdevs[PFS[0]] = dataclasses.replace(fake.netdevs[PFS[0]], mtu=9000, is_up=False)
    fake.set_numvfs(PFS[1], 0)
    assert pool.plugger.detach(pool.name, "ua-vf1").warnings == ()
    assert fake.set[FIRST].max_rate == 500 and is_over(pool)


@pytest.mark.parametrize("managed", ["pool", "no"])
def test_the_vf_is_compared_before_each_write(pool: World, managed: str) -> None:
    """It is made anew before each call of a detach by turns, once its guest has let go. Only a write that has just compared is too late."""
    number = 0
    for number in range(10_000):
        devices(pool).set_numvfs(PFS[0], 4)
        lent(pool, requested(trust=True, max_rate=100) if managed == "pool" else by_address(managed="no"))
        trigger = _Anew(pool, number)
        name = "ua-vf1" if managed == "pool" else "ua-vf9"
        Plugger(faulty(pool.reopen(), trigger), lambda: None).detach(pool.name, name, wait=5)
        pool.plugger.recover()
        assert is_over(pool), trigger.before
        if trigger.before is None:
            break
        if trigger.before not in WRITES:
            assert devices(pool).found[FIRST].driver == VFIO_DRIVER, f"driver before call {number}, {trigger.before}"
            assert devices(pool).set[FIRST] == trigger.kept, f"written to before call {number}, {trigger.before}"
    assert number > 10


class _Anew(Trigger):
    """Makes the VFs anew before the `number`-th call after the guest has let go."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__(-1, "none")
        self.world, self.number, self.before = world, number, None
        self.kept: VfSettings | None = None

    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        if self.before is None and _is_free(self.world):
            self.number -= 1
            if self.number < 0:
                self.before = name
                made_anew(self.world)
                set_by_hand(self.world)
                devices(self.world).bind(FIRST, VFIO_DRIVER)
                self.kept = devices(self.world).set[FIRST]
        return super().around(name, call, *args, **named)


def _is_free(world: World) -> bool:
    return not devices(world).held.get(FIRST) and bool(world.host.journal.holdings())


# -- while a guest has it ------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["numvfs", "driver", "boot"])
def test_audit_says_so_and_its_repair_ends_the_row(pool: World, how: str) -> None:
    change, words = CHANGES[how]
    lent(pool, nic())
    change(pool)
    kept = set_by_hand(pool)
    (finding,) = [one for one in pool.plugger.audit().findings if one.kind == "vf-changed"]
    assert (finding.nic, finding.device) == ("ua-vf1", str(FIRST)) and words in finding.message
    assert "`recover()`" in finding.remedy
    assert "vf-settings-differ" not in kinds(pool)
    mended = [one.repaired for one in pool.plugger.repair(pool.plugger.audit()).findings if one.kind == "vf-changed"]
    assert mended == [True]
    assert devices(pool).set[FIRST] == kept and is_over(pool)
    assert "vf-changed" not in kinds(pool)


def test_what_audit_says_recover_ends(pool: World) -> None:
    lent(pool, nic())
    made_anew(pool)
    (outcome,) = pool.plugger.recover()
    assert (outcome.result, outcome.reason) == (Result.DONE, "vf-changed") and is_over(pool)
    assert [one.alias for one in pool.host.journal.nics()] == ["ua-vf1"], "its NIC is in the guest still"
    assert pool.plugger.detach(pool.name, "ua-vf1").result is Result.DONE


def test_a_repair_of_settings_does_not_set_another_vf(pool: World) -> None:
    """It is made anew between the audit and the repair."""
    lent(pool, requested(trust=True))
    devices(pool).set_by_hand(FIRST, trust=False)
    report = pool.plugger.audit()
    assert [one.kind for one in report.findings] == ["vf-settings-differ"]
    made_anew(pool)
    kept = devices(pool).set_by_hand(FIRST, max_rate=300)
    (finding,) = pool.plugger.repair(report).findings
    assert finding.repaired is False and "is not the VF" in finding.message
    assert devices(pool).set[FIRST] == kept


def test_a_repair_of_a_port_reserves_no_other_vf(pool: World) -> None:
    lent(pool, nic())
    pool.host.networks.delete_port("pool", pool.host.journal.holdings()[0].port)
    report = pool.plugger.audit()
    assert [one.kind for one in report.findings] == ["device-port-missing"]
    made_anew(pool)
    (finding,) = pool.plugger.repair(report).findings
    assert finding.repaired is False and list(pool.host.networks.ports("pool")) == []


def test_an_update_through_the_pf_sets_no_other_vf(pool: World) -> None:
    """It is made anew between the look and the effect."""
    lent(pool, nic())

    class Beside(Trigger):
        def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
            if name == "journal.amend_holding" and self.kind == "none":
                self.kind = "done"
                made_anew(pool)
                self.kept = set_by_hand(pool)
            return super().around(name, call, *args, **named)

    trigger = Beside(-1, "none")
    with pytest.raises(VirtnetplugError) as caught:
        Plugger(faulty(pool.reopen(), trigger), lambda: None).update(pool.name, "ua-vf1", {"max_rate": 10})
    assert caught.value.reason == VfChanged.reason
    assert devices(pool).set[FIRST] == trigger.kept
    pool.plugger.recover()
    assert devices(pool).set[FIRST] == trigger.kept and is_over(pool)


def test_what_comes_back_gets_the_new_vf_as_any_other(pool: World) -> None:
    """A replacement fails after the VF was made anew: the NIC is back, on a VF that is lent afresh, and that goes back as it came."""
    lent(pool, requested(trust=True))
    domain: Any = pool.host.hypervisor.domain(pool.name)
    detach, attach = domain.detach, domain.attach

    def gone(*args: Any) -> None:
        detach(*args)
        made_anew(pool)
        devices(pool).set_by_hand(FIRST, max_rate=300)

    def fails(element: str, half: Half) -> None:
        if "99" in element:
            raise Refused("it cannot be", reason="hypervisor-failed")
        attach(element, half)

    domain.detach, domain.attach = gone, fails
    with pytest.raises(VirtnetplugError):
        pool.plugger.update(pool.name, "ua-vf1", {"mac": "52:54:00:00:00:99"}, replace=True, wait=5)
    domain.detach, domain.attach = detach, attach
    pool.plugger.recover(wait=5)
    (holding,) = pool.host.journal.holdings()
    assert holding.identity == devices(pool).identity(holding.address)
    assert (holding.address, holding.snapshot["max_rate"], devices(pool).set[FIRST].trust) == (FIRST, 300, True)
    assert pool.plugger.detach(pool.name, "ua-vf1").warnings == ()
    assert (devices(pool).set[FIRST].max_rate, devices(pool).set[FIRST].trust) == (300, False)


def test_a_move_to_another_vf_does_not_touch_the_one_that_came(pool: World) -> None:
    lent(pool, nic())
    domain: Any = pool.host.hypervisor.domain(pool.name)
    detach, kept = domain.detach, []

    def gone(*args: Any) -> None:
        detach(*args)
        made_anew(pool)
        kept.append(set_by_hand(pool))

    domain.detach = gone
    outcome = pool.plugger.rebind_vf(pool.name, "ua-vf1", wait=5)
    assert outcome.result is Result.DONE and any("is not the VF" in text for text in outcome.warnings)
    assert [devices(pool).set[FIRST]] == kept


# -- another boot --------------------------------------------------------------------------------


def test_what_an_earlier_boot_held_ends_although_the_next_run_has_a_vf_there(pool: World) -> None:
    """The definition gives the next run a VF at the same address, which libvirt lends it and gives back."""
    lent(pool, by_address())
    pool.guest.destroy()
    started_anew(pool)
    pool.guest.start()
    pool.guest.attach(by_address(), Half.LIVE)
    kept = devices(pool).set[FIRST]
    (outcome,) = [one for one in pool.plugger.recover() if one.operation == "return"]
    assert (outcome.result, outcome.reason) == (Result.DONE, "vf-changed") and "started anew" in outcome.message
    assert pool.host.journal.holdings() == [] and devices(pool).set[FIRST] == kept


def test_a_quarantine_ends_with_the_boot(pool: World) -> None:
    lent(pool, nic())
    devices(pool).unsettable.add("max_rate")
    devices(pool).set_by_hand(FIRST, max_rate=9)
    pool.plugger.detach(pool.name, "ua-vf1")
    assert kinds(pool) == ["device-quarantined"]
    started_anew(pool)
    kept = devices(pool).set[FIRST]
    (outcome,) = pool.plugger.recover()
    assert outcome.reason == "vf-changed" and is_over(pool) and devices(pool).set[FIRST] == kept
    (again,) = pool.plugger.attach(pool.name, [nic()]).nics
    assert again.host_address == FIRST


# -- rows of older versions ----------------------------------------------------------------------


def test_a_row_that_does_not_say_which_vf_it_is_of_is_taken_as_it_was_in_the_same_boot(pool: World) -> None:
    lent(pool, nic())
    forget_which(pool)
    assert kinds(pool) == []
    assert pool.plugger.detach(pool.name, "ua-vf1").warnings == ()
    assert devices(pool).set[FIRST].max_rate == 500 and is_over(pool)


def test_a_row_that_does_not_say_which_vf_it_is_of_ends_in_another_boot(pool: World) -> None:
    lent(pool, nic())
    forget_which(pool)
    pool.guest.destroy()
    started_anew(pool)
    kept = set_by_hand(pool)
    (outcome,) = pool.plugger.recover()
    assert outcome.reason == "vf-changed" and "started anew" in outcome.message
    assert devices(pool).set[FIRST] == kept and is_over(pool)


# -- a second call, and the pool ----------------------------------------------------------------


def test_of_two_that_return_it_neither_writes_to_the_new_one(pool: World) -> None:
    """The one has looked at the row; the other has let it go, and the new VF is lent to another guest."""
    lent(pool, nic())
    (holding,) = pool.host.journal.holdings()
    pool.guest.destroy()
    made_anew(pool)
    pool.plugger.recover()
    pool.host.hypervisor.add("next")  # type: ignore[attr-defined]
    pool.plugger.attach("next", [nic(2)])
    (mine,), kept = pool.host.journal.holdings(), devices(pool).set[FIRST]
    assert return_to_host(pool.host, holding).was_taken
    assert (pool.host.journal.holdings(), devices(pool).set[FIRST]) == ([mine], kept)


@pytest.mark.parametrize("is_same", [True, False])
def test_a_pool_that_is_gone_keeps_nothing_from_ending(pool: World, is_same: bool) -> None:
    lent(pool, nic())
    hypervisor: Any = pool.host.hypervisor
    hypervisor.net_ports.clear()
    del hypervisor.nets["pool"]
    pool.guest.destroy()
    if not is_same:
        made_anew(pool)
    (outcome,) = [one for one in pool.plugger.recover() if one.operation == "return"]
    assert outcome.result is Result.DONE and pool.host.journal.holdings() == []


# -- a VF that another NIC has by now ------------------------------------------------------------------


def _of_another_domain(world: World) -> None:
    world.guest.destroy()
    _taken(world, world.host.hypervisor.add("next"))  # type: ignore[attr-defined]


def _of_another_domain_beside_ours(world: World) -> None:
    domain: Any = world.host.hypervisor.domain(world.name)
    domain.detach("ua-vf1", Half.LIVE)
    _taken(world, world.host.hypervisor.add("next"))  # type: ignore[attr-defined]


def _of_another_alias(world: World) -> None:
    domain: Any = world.host.hypervisor.domain(world.name)
    domain.detach("ua-vf1", Half.LIVE)
    _taken(world, domain)


def _of_another_mac(world: World) -> None:
    domain: Any = world.host.hypervisor.domain(world.name)
    domain.detach("ua-vf1", Half.LIVE)
    _taken(world, domain, alias="ua-vf1")


def _taken(world: World, domain: Any, alias: str = "ua-own") -> None:
    """Attached by another program."""
    element = by_address().replace("ua-vf9", alias).replace("52:54:00:00:00:09", "52:54:00:00:00:77")
    domain.attach(element, Half.LIVE)


TAKERS = {
    "domain": _of_another_domain,
    "domain-beside": _of_another_domain_beside_ours,
    "alias": _of_another_alias,
    "mac": _of_another_mac,
}

SETTLERS: dict[str, Callable[[World], Any]] = {
    "recover": lambda w: w.plugger.recover(),
    "repair": lambda w: w.plugger.repair(w.plugger.audit()),
    "operation": lambda w: w.plugger.attach(w.name, [w.bridge_nic(1)], scope=Scope.CONFIG),
}


@pytest.mark.parametrize("settle", SETTLERS)
@pytest.mark.parametrize("taker", TAKERS)
def test_a_vf_that_another_nic_has_is_let_go(pool: World, taker: str, settle: str) -> None:
    """Another program took the VF from our NIC and gave it to its own, of that domain or of another, and set it to its liking.

    Only what is still as virtnetplug set it, and as libvirt never sets it, is taken back.
    """
    lent(pool, requested(trust=True, max_rate=100))
    TAKERS[taker](pool)
    assert devices(pool).set[FIRST].trust
    kept = dataclasses.replace(set_by_hand(pool), trust=False)
    assert "device-leaked" in kinds(pool) and "vf-settings-differ" not in kinds(pool)
    SETTLERS[settle](pool)
    assert devices(pool).set[FIRST] == kept and is_over(pool)
    pool.plugger.repair(pool.plugger.audit())
    assert kinds(pool) == [] and devices(pool).set[FIRST] == kept and pool.plugger.recover() == ()


def test_what_is_let_go_so_is_not_said_to_be_back(pool: World) -> None:
    lent(pool, nic())
    _of_another_domain(pool)
    (outcome,) = pool.plugger.recover()
    assert (
        outcome.result is Result.DONE
        and "given host device 0000:01:10.0 to a NIC of next since ua-vf1" in outcome.message
    )


@pytest.mark.parametrize("alias", ["ua-own", "ua-vf1"])
def test_an_update_of_the_nic_that_has_it_now_is_its_own(pool: World, alias: str) -> None:
    """What was asked of the VF for the first NIC is not taken for what the other one has."""
    lent(pool, requested(trust=True))
    domain: Any = pool.host.hypervisor.domain(pool.name)
    domain.detach("ua-vf1", Half.LIVE)
    _taken(pool, domain, alias=alias)
    devices(pool).set_by_hand(FIRST, trust=False, max_rate=300)
    assert pool.plugger.update(pool.name, alias, {"trust": True}).result is Result.DONE
    (mine,) = pool.host.journal.holdings()
    assert (mine.alias, mine.mac, devices(pool).set[FIRST].trust) == (alias, "52:54:00:00:00:77", True)
    pool.plugger.detach(pool.name, alias)
    assert (devices(pool).set[FIRST].trust, devices(pool).set[FIRST].max_rate) == (False, 300) and is_over(pool)


# -- each write looks who has the VF -------------------------------------------------------------------


def _leaves_it_to(world: World, name: str, by_hand: dict[str, Any]) -> None:
    """The NIC leaves its guest, and another program gives the VF to a NIC of domain `name`, and sets it."""
    hypervisor: Any = world.host.hypervisor
    hypervisor.domain(world.name).detach("ua-vf1", Half.LIVE)
    _taken(world, hypervisor.domain(name) if name == world.name else hypervisor.add(name))
    devices(world).set_by_hand(FIRST, **by_hand)


WRITERS: dict[str, Callable[[World, Holding], object]] = {
    "apply": lambda w, held: apply(w.host, held, VfSettings(max_rate=7), user=User.ITS_NIC),
    "put": lambda w, held: put(w.host, held, {"max_rate": 300}),
    "detach": lambda w, held: detach(w.host, held),
    "reattach": lambda w, held: reattach(w.host, held),
    "port": lambda w, held: make_port(w.host, held),
}


@pytest.mark.parametrize("name", ["fake", "next"])
@pytest.mark.parametrize("write", WRITERS)
def test_nothing_is_written_to_a_vf_that_another_nic_has(pool: World, write: str, name: str) -> None:
    """Not even that what was to be set is so: it is of the other NIC."""
    lent(pool, nic())
    (holding,) = pool.host.journal.holdings()
    pool.host.networks.delete_port("pool", holding.port)
    _leaves_it_to(pool, name, {"max_rate": 300})
    kept = devices(pool).set[FIRST]
    devices(pool).calls.clear()
    with pytest.raises(HostDeviceBusy, match=f"domain {name} runs with"):
        WRITERS[write](pool, holding)
    assert (writes(pool), devices(pool).set[FIRST], list(pool.host.networks.ports("pool"))) == ([], kept, [])


@pytest.mark.parametrize("write", ["detach", "reattach"])
def test_the_driver_of_a_vf_that_its_own_nic_has_stays(pool: World, write: str) -> None:
    lent(pool, nic())
    (holding,) = pool.host.journal.holdings()
    with pytest.raises(HostDeviceBusy):
        WRITERS[write](pool, holding)
    put(pool.host, holding, {"max_rate": 7})
    assert (devices(pool).set[FIRST].max_rate, devices(pool).found[FIRST].driver) == (7, VFIO_DRIVER)


def _died_in_update(pool: World) -> None:
    """The VF is set, and nothing says so yet."""
    lent(pool, nic())
    asked = {"max_rate": 100, "trust": True}
    die(pool, lambda p: p.update(pool.name, "ua-vf1", asked), "host_devices.apply", after=True)


@pytest.mark.parametrize("name", ["fake", "next"])
def test_the_undo_of_an_update_leaves_the_vf_to_the_nic_that_has_it(pool: World, name: str) -> None:
    """What was set is taken back as far as nobody set it since, and nobody is told to end a guest that has nothing."""
    _died_in_update(pool)
    _leaves_it_to(pool, name, {"max_rate": 300})
    assert devices(pool).set[FIRST].trust is True
    assert {(each.operation, each.result) for each in pool.plugger.recover()} == {
        ("update", Result.UNDONE),
        ("return", Result.DONE),
    }
    assert (devices(pool).set[FIRST].trust, devices(pool).set[FIRST].max_rate) == (False, 300)
    assert is_over(pool) and pool.plugger.recover() == ()


def test_the_undo_of_an_update_leaves_what_somebody_set_since(pool: World) -> None:
    _died_in_update(pool)
    devices(pool).set_by_hand(FIRST, max_rate=300)
    assert [each.result for each in pool.plugger.recover()] == [Result.UNDONE]
    assert (devices(pool).set[FIRST].trust, devices(pool).set[FIRST].max_rate) == (False, 300)
    assert [each.settings for each in pool.host.journal.holdings()] == [{}]


@pytest.mark.parametrize(
    ("call", "reason"), [("host_devices.identity", "nic-missing"), ("journal.amend_holding", "host-device-busy")]
)
@pytest.mark.parametrize("name", ["fake", "next"])
def test_an_update_of_a_nic_that_leaves_its_guest_sets_nothing(pool: World, name: str, call: str, reason: str) -> None:
    """It leaves after the look: the VF is another NIC's."""
    lent(pool, nic())

    class Leaves(Trigger):
        def around(self, called: str, run: Any, *args: Any, **named: Any) -> Any:
            is_begun = any(each.operation == "update" for each in pool.host.journal.open_operations())
            if called == call and is_begun and self.kind == "none":
                self.kind = "done"
                _leaves_it_to(pool, name, {"max_rate": 300})
            return super().around(called, run, *args, **named)

    with pytest.raises(VirtnetplugError) as caught:
        Plugger(faulty(pool.reopen(), Leaves(-1, "none")), lambda: None).update(
            pool.name, "ua-vf1", {"max_rate": 10, "trust": True}
        )
    assert caught.value.reason == reason
    pool.plugger.recover()
    assert (devices(pool).set[FIRST].trust, devices(pool).set[FIRST].max_rate) == (False, 300) and is_over(pool)


def test_a_vf_that_a_guest_gets_while_it_is_given_back_is_that_guests(pool: World) -> None:
    lent(pool, requested(trust=True))
    hypervisor: Any = pool.host.hypervisor
    fake, third, taken = devices(pool), hypervisor.add("next"), []
    look = fake.settings

    def late(vf: Any) -> VfSettings:
        if vf == FIRST and fake.found[FIRST].driver == VF_DRIVER and not taken:
            _taken(pool, third)
            taken.append(fake.set_by_hand(FIRST, max_rate=300, vlan=33))
        return look(vf)

    fake.settings = late  # type: ignore[method-assign]
    pool.plugger.detach(pool.name, "ua-vf1")
    assert [fake.set[FIRST]] == [dataclasses.replace(each, trust=False) for each in taken] and is_over(pool)


def test_a_vf_that_another_nic_got_is_not_kept_for_the_one_that_had_it(pool: World) -> None:
    lent(pool, requested(trust=True))
    (holding,) = pool.host.journal.holdings()
    _leaves_it_to(pool, "next", {"max_rate": 300})
    assert return_to_host(pool.host, holding, dataclasses.replace(holding, operation_id="op")).user == "next"
    assert (devices(pool).set[FIRST].trust, devices(pool).set[FIRST].max_rate) == (False, 300) and is_over(pool)


def test_what_cannot_be_taken_back_of_a_vf_that_a_guest_has_is_said_so(pool: World) -> None:
    lent(pool, requested(trust=True))
    _leaves_it_to(pool, "next", {"max_rate": 300})
    devices(pool).faults["apply"] = HostDeviceFailed("the PF does not answer")
    (outcome,) = pool.plugger.recover()
    assert (outcome.result, outcome.reason) == (Result.INCOMPLETE, "quarantined")
    assert "domain next runs with it" in outcome.message and "lent to nobody after domain next" in outcome.message
    devices(pool).faults.clear()
    assert [each.result for each in pool.plugger.recover()] == [Result.DONE]
    assert (devices(pool).set[FIRST].trust, devices(pool).set[FIRST].max_rate) == (False, 300) and is_over(pool)


def test_a_claim_of_a_vf_that_another_nic_has_by_now_takes_another(pool: World) -> None:
    lent(pool, requested(trust=True))
    (holding,) = pool.host.journal.holdings()
    _leaves_it_to(pool, "next", {"max_rate": 300})
    order = Order(
        domain=pool.host.hypervisor.domain(pool.name), run=Run(1), net=xml.interface(nic()),
        actual=ActualDevice(type="hostdev", network="pool"), operation_id=holding.operation_id, settings={}, choice=Choice(again=FIRST),
    )  # fmt: skip
    held = claim(pool.host, order)
    assert held.address != FIRST and [each.address for each in pool.host.journal.holdings()] == [held.address]
    assert (devices(pool).set[FIRST].trust, devices(pool).set[FIRST].max_rate) == (False, 300)


@pytest.mark.parametrize("driver", [VF_DRIVER, VFIO_DRIVER, None])
def test_a_vf_that_no_guest_can_have_is_set_without_a_look_at_every_domain(
    pool: World, monkeypatch: pytest.MonkeyPatch, driver: str | None
) -> None:
    """To read the live definition of each domain of a host takes long."""
    lent(pool, nic())
    pool.guest.destroy()
    (holding,) = pool.host.journal.holdings()
    devices(pool).bind(FIRST, driver)
    monkeypatch.delattr(type(pool.host.hypervisor), "running")
    put(pool.host, holding, {"max_rate": 7})
    assert devices(pool).set[FIRST].max_rate == 7


def test_a_network_of_the_same_name_is_another_pool(pool: World) -> None:
    """It was undefined, and defined anew with the VFs of another PF: it has not lost the port of a VF that it never had."""
    lent(pool, nic())
    hypervisor: Any = pool.host.hypervisor
    hypervisor.net_ports.clear()
    hypervisor.add_network(dataclasses.replace(hypervisor.nets.pop("pool"), pf="eth1"))
    assert kinds(pool) == []
    assert pool.plugger.detach(pool.name, "ua-vf1").warnings == ()
    assert devices(pool).set[FIRST].max_rate == 500 and is_over(pool)


def test_a_pf_that_is_renamed_is_the_same(pool: World) -> None:
    lent(pool, requested(max_rate=100))
    fake = devices(pool)
    fake.replace(PFS[0], netdev="lan0")
    fake.netdevs[PFS[0]] = dataclasses.replace(fake.netdevs[PFS[0]], name="lan0")
    assert "vf-changed" not in kinds(pool)
    assert pool.plugger.update(pool.name, "ua-vf1", {"max_rate": 50}).result is Result.DONE
    assert pool.plugger.detach(pool.name, "ua-vf1").warnings == ()
    assert fake.set[FIRST].max_rate == 500 and is_over(pool)


# -- a PF that is made anew ------------------------------------------------------------------------


def test_a_vf_that_somebody_makes_anew_under_a_rebind_of_its_pf_is_left_as_it_is(pool: World) -> None:
    fake = devices(pool)
    fake.set_by_hand(FIRST, max_rate=500)
    restore, kept = fake.restore_netdev, []

    def beside(address: Any, state: Any) -> None:
        restore(address, state)
        made_anew(pool)
        kept.append(set_by_hand(pool))

    fake.restore_netdev = beside  # type: ignore[method-assign]
    outcome = pool.plugger.rebind_pf(PFS[0], reload_driver=True)
    assert outcome.result is Result.DONE and any("is not the VF" in text for text in outcome.warnings)
    assert [fake.set[FIRST]] == kept and pool.host.journal.holdings() == []


def test_a_rebind_of_a_pf_that_an_earlier_boot_began_writes_nothing(pool: World) -> None:
    lent(pool, nic())
    fake = devices(pool)
    trigger = _Dies(-1, "crash")
    with pytest.raises(Crash):
        Plugger(faulty(pool.reopen(), trigger), lambda: None).rebind_pf(PFS[0], reload_driver=True, allow_outage=True)
    pool.guest.destroy()
    fake.bind_pf(PFS[0], PF_DRIVER)
    fake.set_numvfs(PFS[0], 4)
    started_anew(pool)
    kept, state = set_by_hand(pool), fake.pf_state(PFS[0])
    fake.calls.clear()
    outcomes = pool.plugger.recover(wait=5)
    assert {one.result for one in outcomes} <= {Result.UNDONE, Result.DONE}
    assert (fake.set[FIRST], fake.pf_state(PFS[0]), writes(pool)) == (kept, state, [])
    assert pool.host.journal.open_operations() == [] and pool.host.journal.holdings() == []


class _Dies(Trigger):
    def around(self, name: str, call: Any, *args: Any, **named: Any) -> Any:
        if name == "host_devices.bind":
            self.at, self.fired = self.count, False
        return super().around(name, call, *args, **named)


def test_a_vf_stays_held_while_its_own_guest_runs_with_it_also_one_that_goes(pool: World) -> None:
    lent(pool, nic())
    (holding,) = pool.host.journal.holdings()
    assert return_to_host(pool.host, holding).busy is not None
    devices(pool).replace(FIRST, pf=None, vf_index=None)
    assert return_to_host(pool.host, holding).busy is not None
    assert pool.host.journal.holdings() == [holding]


def test_a_claim_of_the_vf_that_a_nic_had_takes_another_one_afresh(pool: World) -> None:
    lent(pool, nic())
    pool.guest.destroy()
    made_anew(pool)
    pool.guest.start()
    order = Order(
        domain=pool.host.hypervisor.domain(pool.name), run=Run(2), net=xml.interface(nic()),
        actual=ActualDevice(type="hostdev", network="pool"), operation_id="op", settings={}, choice=Choice(again=FIRST),
    )  # fmt: skip
    held = claim(pool.host, order)
    assert (held.address, held.identity) == (FIRST, devices(pool).identity(FIRST))
    assert held.snapshot["max_rate"] == 0, "how the VF is that is there now"


def test_scopes_do_not_matter(pool: World) -> None:
    lent_both = pool.plugger.attach(pool.name, [nic()], scope=Scope.BOTH)
    assert lent_both.result is Result.DONE
    made_anew(pool)
    assert pool.plugger.detach(pool.name, "ua-vf1", scope=Scope.BOTH).result is Result.DONE
    assert is_over(pool)
