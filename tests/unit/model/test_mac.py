"""MAC addresses: what libvirt would take, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtnetplug.errors import MacInvalid
from virtnetplug.model.mac import Mac

MULTICAST_BIT = 1
octets = st.lists(st.integers(0, 255), min_size=6, max_size=6).filter(any)


@given(octets.filter(lambda six: not six[0] & MULTICAST_BIT), st.sampled_from(":-"), st.booleans())
def test_every_unicast_address_in_either_spelling_is_one_value(six: list[int], separator: str, upper: bool) -> None:
    text = separator.join(f"{octet:02x}" for octet in six)
    mac = Mac(f" {text.upper() if upper else text}\n")
    assert str(mac) == ":".join(f"{octet:02x}" for octet in six)
    assert mac == Mac(str(mac))
    assert hash(mac) == hash(Mac(str(mac)))


@given(octets.filter(lambda six: six[0] & MULTICAST_BIT))
def test_no_nic_owns_a_multicast_address_and_the_remedy_works(six: list[int]) -> None:
    with pytest.raises(MacInvalid, match="multicast") as caught:
        Mac(":".join(f"{octet:02x}" for octet in six))
    assert caught.value.reason == "mac-invalid"
    assert caught.value.exit_code == 3
    Mac(caught.value.message.rpartition(" ")[2])


def test_all_zeroes_is_no_address() -> None:
    with pytest.raises(MacInvalid, match="all-zero"):
        Mac("00:00:00:00:00:00")


@pytest.mark.parametrize(
    "text",
    [
        *("", "52:54:00:12:34", "52:54:00:12:34:56:78", "52:54:00:12:34:5g", "5254.0012.3456", "525400123456"),
        *("52:54:0:12:34:56", "52:54:00:12:34:56\n52:54:00:12:34:57", "٥2:54:00:12:34:56", "52;54:00:12:34:56"),
    ],
)
def test_any_other_form_is_refused_and_the_message_shows_the_right_one(text: str) -> None:
    with pytest.raises(MacInvalid, match="is no MAC address; write six hex bytes"):
        Mac(text)


def test_minted_addresses_are_qemus_and_differ() -> None:
    minted = {Mac.mint() for _ in range(64)}
    assert len(minted) > 60
    assert all(str(mac).startswith("52:54:00:") for mac in minted)
