"""What a domain remembers: one identity per NIC, one marker per fast device."""

from __future__ import annotations

import pytest

from virtnetplug.errors import InvariantBroken
from virtnetplug.model.identity import DomainMetadata, Identity, UnplugPolicy

A = Identity(alias="ua-a", vif="ua-fast")
B = Identity(alias="ua-b")


def test_an_identity_is_found_by_its_own_name_and_by_its_marker() -> None:
    metadata = DomainMetadata(identities=(B, A))
    assert (metadata.identity("ua-a"), metadata.identity("ua-fast")) == (A, None)
    assert (metadata.naming("ua-fast"), metadata.naming("ua-a")) == (A, None)
    assert metadata.naming("") is None, "no marker names nobody"


def test_an_identity_is_replaced_in_its_place_or_put_at_the_end() -> None:
    metadata = DomainMetadata(unplug=UnplugPolicy.ACTIVE).with_identity(A).with_identity(B)
    assert metadata.identities == (A, B)
    out = Identity(alias="ua-a", vif="ua-fast", is_out=True)
    assert metadata.with_identity(out).identities == (out, B)
    assert metadata.without_identity("ua-a").identities == (B,)
    assert metadata.without_identity("ua-z") == metadata
    assert metadata.with_identity(out).without_identity("ua-b").unplug is UnplugPolicy.ACTIVE


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"identities": (A, Identity(alias="ua-a"))}, "NIC ua-a has two identities"),
        (
            {"identities": (A, Identity(alias="ua-b", vif="ua-fast"))},
            "ua-fast is named by the markers of ua-a and ua-b",
        ),
        ({"identities": (Identity(alias=""),)}, "no alias"),
        ({"identities": (Identity(alias="ua-a", vif="ua-a"),)}, "names that NIC itself"),
        ({"activation": (("ua-a",), ())}, "is empty"),
        ({"activation": (("ua-a", "ua-b"), ("ua-c", "ua-a"))}, "ua-a is named twice"),
        ({"activation": (("ua-a", "ua-a"),)}, "ua-a is named twice"),
    ],
)
def test_what_contradicts_itself_cannot_be_made(fields: dict[str, object], words: str) -> None:
    with pytest.raises(InvariantBroken, match=words):
        DomainMetadata(**fields)  # type: ignore[arg-type]


def test_a_second_marker_of_one_device_is_refused_where_it_is_added() -> None:
    with pytest.raises(InvariantBroken, match="can take one identity"):
        DomainMetadata(identities=(A, B)).with_identity(Identity(alias="ua-b", vif="ua-fast"))


def test_many_unmarked_identities_are_fine() -> None:
    assert len(DomainMetadata(identities=(B, Identity(alias="ua-c"))).identities) == 2


def test_empty_is_what_says_nothing() -> None:
    assert DomainMetadata().is_empty
    assert not DomainMetadata(unplug=UnplugPolicy.KEEP).is_empty, "keep, said by the domain, overrules the host"
    assert not DomainMetadata(identities=(B,)).is_empty
    assert not DomainMetadata(activation=(("ua-a",),)).is_empty
