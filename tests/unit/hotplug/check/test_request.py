"""What a caller asked for, and how it is refused."""

from __future__ import annotations

import pytest

from virtnetplug import xml
from virtnetplug.errors import NeedsReplace, Refused
from virtnetplug.hotplug.check.request import name
from virtnetplug.hotplug.engine.prepared import refuse
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Refusal


def test_nothing_that_speaks_against_it_raises_nothing() -> None:
    refuse(())


def test_a_refusal_is_of_the_class_of_its_reason_and_says_all_of_them() -> None:
    refusals = [Refusal(reason="needs-replace", message="First."), Refusal(reason="no-free-port", message="Second.")]
    with pytest.raises(NeedsReplace) as caught:
        refuse(refusals)
    assert (caught.value.reason, caught.value.message) == ("needs-replace", "First. Also: Second.")


def test_a_reason_without_a_class_of_its_own_is_kept() -> None:
    with pytest.raises(Refused) as caught:
        refuse([Refusal(reason="alias-prefix", message="Call it ua-x.")])
    assert (type(caught.value), caught.value.reason, caught.value.exit_code) == (Refused, "alias-prefix", 3)


@pytest.mark.parametrize(
    ("teaming", "is_same"),
    [
        ("", False),
        ("<teaming type='persistent'/>", False),
        ("<teaming type='transient' persistent='net0'/>", False),  # libvirt would replace an alias without the prefix
        ("<teaming type='transient' persistent='ua-e'/>", True),
    ],
)
def test_only_a_transient_half_has_the_same_alias_each_time(teaming: str, is_same: bool) -> None:
    nets = [name(asked(teaming)) for _ in range(2)]
    aliases = [str(net.alias) for net in nets]
    assert all(alias.startswith("ua-") for alias in aliases) and nets[0].mac is not None
    assert (aliases == ["ua-e-fast"] * 2) if is_same else (aliases[0] != aliases[1])


def test_what_has_an_alias_keeps_it() -> None:
    assert name(asked("<teaming type='transient' persistent='ua-e'/><alias name='ua-p'/>")).alias == "ua-p"


def asked(more: str) -> Interface:
    return xml.interface(f"<interface type='network'><source network='pool'/>{more}</interface>")
