"""The locks of several domains, taken in one order by everybody."""

from __future__ import annotations

import itertools

from tests.fakes.stage import Stage
from virtnetplug.hotplug.call.lock import Lock


def test_several_locks_are_taken_by_uuid_whatever_order_they_are_named_in() -> None:
    """Else two who want the same two would wait for each other."""
    for names in itertools.permutations(("a", "b", "c")):
        stage = Stage()
        domains = [stage.add(name) for name in names]
        with Lock(stage.host(), [*domains, domains[0]], 1.0):  # type: ignore[list-item]
            taken = [call for call in stage.calls if call.startswith("lock ")]
        assert taken == sorted(f"lock {domain.uuid}" for domain in domains)
