"""Forced unplug, the whole truth table: opt-in by present by active by teaming by scope."""

from __future__ import annotations

import itertools

import pytest

from virtnetplug.errors import NotSupported, UsageError
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.operation import Half, Scope
from virtnetplug.policy.forced_unplug import decide, parse

LIVE, CONFIG, BOTH = (Half.LIVE,), (Half.CONFIG,), (Half.LIVE, Half.CONFIG)

GOES: dict[tuple[UnplugPolicy, bool, bool, Scope], tuple[Half, ...]] = {
    # policy, present, connected, scope: from where it goes. All that is not here stays.
    (UnplugPolicy.ACTIVE, True, True, Scope.LIVE): LIVE,
    (UnplugPolicy.ACTIVE, True, True, Scope.BOTH): LIVE,
    (UnplugPolicy.PRESENT, True, False, Scope.LIVE): LIVE,
    (UnplugPolicy.PRESENT, True, True, Scope.LIVE): LIVE,
    (UnplugPolicy.PRESENT, True, False, Scope.CONFIG): CONFIG,
    (UnplugPolicy.PRESENT, True, True, Scope.CONFIG): CONFIG,
    (UnplugPolicy.PRESENT, True, False, Scope.BOTH): BOTH,
    (UnplugPolicy.PRESENT, True, True, Scope.BOTH): BOTH,
}
ROWS = list(itertools.product(UnplugPolicy, (False, True), (False, True), Scope, (False, True)))


@pytest.mark.parametrize(("policy", "present", "connected", "scope", "teaming"), ROWS)
def test_truth_table(policy: UnplugPolicy, present: bool, connected: bool, scope: Scope, teaming: bool) -> None:
    decision = decide(
        policy, twin_present=present, twin_connected=connected, is_teaming_persistent=teaming, scope=scope
    )
    goes = () if teaming else GOES.get((policy, present, connected, scope), ())
    assert decision.halves == goes
    assert decision.why and not decision.why.endswith(".")


def test_the_table_is_whole_and_what_it_says_is_used() -> None:
    assert len(ROWS) == 3 * 2 * 2 * 3 * 2
    assert GOES.keys() <= {row[:4] for row in ROWS}


@pytest.mark.parametrize(
    ("policy", "present", "connected", "scope", "teaming", "words"),
    [
        (UnplugPolicy.PRESENT, True, True, Scope.BOTH, True, "teaming"),
        (UnplugPolicy.KEEP, True, True, Scope.BOTH, False, "policy keep"),
        (UnplugPolicy.PRESENT, False, True, Scope.BOTH, False, "is not there"),
        (UnplugPolicy.ACTIVE, False, True, Scope.BOTH, False, "is not there"),
        (UnplugPolicy.ACTIVE, True, False, Scope.BOTH, False, "not connected"),
        (UnplugPolicy.ACTIVE, True, True, Scope.CONFIG, False, "only in the definition"),
        (UnplugPolicy.ACTIVE, True, True, Scope.LIVE, False, "is connected"),
        (UnplugPolicy.PRESENT, True, False, Scope.LIVE, False, "need not be connected"),
    ],
)
def test_why(policy: UnplugPolicy, present: bool, connected: bool, scope: Scope, teaming: bool, words: str) -> None:
    decision = decide(
        policy, twin_present=present, twin_connected=connected, is_teaming_persistent=teaming, scope=scope
    )
    assert words in decision.why


@pytest.mark.parametrize("words", ["NICS", "nics", " Nics "])
def test_nics_are_unplugged_as_soon_as_the_twin_is_present(words: str) -> None:
    assert parse(words) is UnplugPolicy.PRESENT


@pytest.mark.parametrize("words", ["DISKS", "disks", "NICS,DISKS", "DISKS, NICS"])
def test_disks_are_understood_and_refused(words: str) -> None:
    with pytest.raises(NotSupported, match=r"DISKS is not supported.*never a disk.*NICS alone") as caught:
        parse(words)
    assert (caught.value.reason, caught.value.exit_code) == ("not-supported", 3)


@pytest.mark.parametrize("words", ["", "ALL", "NICS,", "NICS,NICS", "NIC"])
def test_anything_else_is_a_mistake(words: str) -> None:
    with pytest.raises(UsageError, match="give NICS"):
        parse(words)
