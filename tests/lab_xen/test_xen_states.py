"""The states of a vif's ends, as a real netback and netfront write them, beside the table of what virtnetplug sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
import pytest

from tests.lab_xen import store
from tests.lab_xen.guest import Guest, Nic
from tests.lab_xen.nics import vif_nic
from tests.lab_xen.observed import OBSERVED
from tests.lab_xen.trace import Trace, traced
from tests.real.namespace import wait_until
from virtnetplug import Plugger
from virtnetplug.lifecycle import State

NIC = vif_nic(1)


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[Trace]:
    with traced(tmp_path / "xenstored.log") as trace:
        yield trace


def check(trace: Trace, nic: Nic, what: str) -> list[tuple[str, State]]:
    """What was written since the last check is what is known of `what`; gives it in its order."""
    written = trace.states(nic)
    expected = OBSERVED[what]
    for end, moves in (("frontend", expected.frontend), ("backend", expected.backend)):
        assert [state for which, state in written if which == end] == list(moves[1:]), (what, end, written)
    trace.clear()
    return written


def wait_states(nic: Nic, backend: str, frontend: str) -> None:
    wait_until(lambda: nic.states() == (backend, frontend), f"{nic.device} to be {backend}/{frontend}")


def test_what_is_done_to_a_vif(plugger: Plugger, lab: Guest, trace: Trace) -> None:
    plugger.attach("lab", [NIC])
    nic = lab.nic(1)
    wait_states(nic, "4", "4")
    check(trace, nic, "attach")

    lab.tell(f"unbind {nic.vif}")
    wait_states(nic, "6", "6")
    check(trace, nic, "the guest unbinds its driver")
    lab.tell(f"bind {nic.vif}")
    wait_states(nic, "4", "4")
    written = check(trace, nic, "the guest binds it again")
    # The rule of the table: Closed until the frontend goes to Initialising, and only then InitWait.
    assert written[:2] == [("frontend", State.INITIALISING), ("backend", State.INIT_WAIT)]

    nic.unbind()
    wait_until(lambda: not (store.DRIVER / nic.device).exists(), "it to be unbound")
    check(trace, nic, "dom0 unbinds its driver")
    nic.bind()
    wait_states(nic, "2", "4")
    check(trace, nic, "dom0 binds it again")
    nic.replumb()
    wait_states(nic, "4", "4")
    check(trace, nic, "its link is put where it belongs")

    plugger.detach("lab", "ua-nic1")
    check(trace, nic, "detach")


def test_the_guest_reboots(
    plugger: Plugger, connection: libvirt.virConnect, lab: Guest, trace: Trace, rebooted: Callable[[], Guest]
) -> None:
    """A guest that reboots is another domain: what it was given while it ran, and its definition has not, is gone."""
    plugger.attach("lab", [NIC])
    again = rebooted()
    check(trace, again.first, "the guest reboots, in the new domain")
    assert [nic.alias for nic in plugger.list("lab")] == ["ua-first"]
    assert plugger.audit().findings == (), "it ended with its domain, which is what happens every day"
    assert plugger.recover() == () and plugger.audit().findings == ()
