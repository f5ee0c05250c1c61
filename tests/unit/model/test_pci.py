"""PCI addresses: each part within PCI's own limits, read and written as lspci does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtnetplug.errors import PciAddressInvalid
from virtnetplug.model.pci import PciAddress

LIMITS = {"domain": 0xFFFF, "bus": 0xFF, "slot": 0x1F, "function": 7}
addresses = st.builds(PciAddress, **{part: st.integers(0, most) for part, most in LIMITS.items()})


@given(addresses)
def test_what_is_written_is_read_back(address: PciAddress) -> None:
    assert PciAddress.parse(str(address)) == address
    assert PciAddress.parse(f" {str(address).upper()} ") == address


@given(addresses, addresses)
def test_order_is_that_of_the_bus(one: PciAddress, other: PciAddress) -> None:
    assert (one < other) == (str(one) < str(other))


def test_the_domain_may_be_left_out() -> None:
    assert PciAddress.parse("01:10.2") == PciAddress(0, 1, 0x10, 2)


@pytest.mark.parametrize("part", LIMITS)
@pytest.mark.parametrize("beyond", [-1, 1])
def test_one_beyond_the_limit_is_refused_and_the_part_named(part: str, beyond: int) -> None:
    fine = dict.fromkeys(LIMITS, 0)
    value = LIMITS[part] + 1 if beyond > 0 else -1
    with pytest.raises(PciAddressInvalid, match=f"its {part} is 0x.*{part} is 0 to 0x{LIMITS[part]:x}") as caught:
        PciAddress(**fine | {part: value})
    assert caught.value.reason == "pci-address-invalid"


@pytest.mark.parametrize("text", ["0000:00:20.0", "0000:00:1f.8", "10000:00:00.0", "0000:100:00.0"])
def test_out_of_range_text_says_which_part(text: str) -> None:
    with pytest.raises(PciAddressInvalid, match="is out of range"):
        PciAddress.parse(text)


@pytest.mark.parametrize(
    "text", ["", "eth0", "0000:00:1f", "0000-00-1f.0", "0000:00:1f.0; rm", "0x0000:00:1f.0", "::1.0"]
)
def test_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(PciAddressInvalid, match="is no PCI address; write it as lspci does"):
        PciAddress.parse(text)
