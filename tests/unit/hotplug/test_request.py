"""What a caller asked for, and how it is refused."""

from __future__ import annotations

import pytest

from virtnetplug.errors import NeedsReplace, Refused
from virtnetplug.hotplug.request import refuse
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
