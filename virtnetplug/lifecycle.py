"""The state of a plugged NIC: the Xen bus states, and the one table of legal transitions.

The table governs what virtnetplug *sets*. What virtnetplug observes of a guest, or of Xen's netback, is recorded
as seen and never passes through here.

The states are those of Xen's ``xen/include/public/io/xenbus.h``. No move leaves Closed: a NIC that a guest gets again
begins anew. Xen's own backends leave Closed once the frontend goes to Initialising, which virtnetplug observes
(QEMU commit 67bc8e00f7, "fix xen-bus state model to allow frontend re-connection").
"""

from __future__ import annotations

import enum

from virtnetplug.errors import IllegalTransition


class State(enum.StrEnum):
    """XenbusState, by name."""

    UNKNOWN = "Unknown"
    INITIALISING = "Initialising"
    INIT_WAIT = "InitWait"
    INITIALISED = "Initialised"
    CONNECTED = "Connected"
    CLOSING = "Closing"
    CLOSED = "Closed"
    RECONFIGURING = "Reconfiguring"
    RECONFIGURED = "Reconfigured"


class End(enum.StrEnum):
    """The two ends of a NIC."""

    FRONTEND = "frontend"
    BACKEND = "backend"


class Trigger(enum.StrEnum):
    """What virtnetplug did, or saw happen, that moves a state."""

    ATTACH = "attach"  # the guest has the device
    ASK = "ask"  # the guest was asked to release the device
    GONE = "gone"  # the guest released the device, or ended


_S, _T = State, Trigger

TRANSITIONS: dict[tuple[End, State, Trigger], State] = {
    (End.FRONTEND, _S.UNKNOWN, _T.ATTACH): _S.UNKNOWN,  # only evidence says what the guest's driver does
    (End.FRONTEND, _S.UNKNOWN, _T.ASK): _S.CLOSING,
    (End.FRONTEND, _S.CLOSING, _T.GONE): _S.CLOSED,
    (End.BACKEND, _S.UNKNOWN, _T.ATTACH): _S.CONNECTED,
    (End.BACKEND, _S.CONNECTED, _T.ASK): _S.CLOSING,
    (End.BACKEND, _S.CLOSING, _T.GONE): _S.CLOSED,
}


def move(end: End, state: State, trigger: Trigger) -> State:
    """The state after `trigger`; `IllegalTransition` (and nothing changed) where the table has none."""
    try:
        return TRANSITIONS[end, state, trigger]
    except KeyError:
        raise IllegalTransition(
            f"a {end} that is {state} cannot take '{trigger}'; the lifecycle table has no such move"
        ) from None


def _after(*triggers: Trigger) -> tuple[State, State]:
    frontend, backend = State.UNKNOWN, State.UNKNOWN
    for trigger in triggers:
        frontend, backend = move(End.FRONTEND, frontend, trigger), move(End.BACKEND, backend, trigger)
    return frontend, backend


ATTACHED = _after(Trigger.ATTACH)
"""Frontend and backend of a NIC that a guest got."""

ASKED = _after(Trigger.ATTACH, Trigger.ASK)
"""Frontend and backend of a NIC that the guest may release at any time."""

GONE = _after(Trigger.ATTACH, Trigger.ASK, Trigger.GONE)
"""Frontend and backend of a NIC that no guest has."""
