"""The state of one plugged NIC: the Xen bus states, and the one table of legal transitions.

The table governs what virtnetplug *sets*. What it observes (of a guest, of Xen's netback) is recorded
as seen and never passes through here.

States are those of Xen's ``xen/include/public/io/xenbus.h``. The rule that a Closed backend stays Closed until its
frontend goes to Initialising is QEMU commit 67bc8e00f7 ("fix xen-bus state model to allow frontend re-connection").
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
    """Which end of the NIC."""

    FRONTEND = "frontend"
    BACKEND = "backend"


class Trigger(enum.StrEnum):
    """What virtnetplug did, or was told, that moves a state."""

    RESERVE = "reserve"  # its names are in the journal, under the domain's lock
    ALLOCATE = "allocate"  # the actual device is known
    PLUG = "plug"  # host_net_add, or the VF bound
    ATTACH = "attach"  # the guest has the device
    CONNECT = "connect"  # there is evidence that the guest's driver uses it
    ASK = "ask"  # the guest was asked to let go
    REFUSE = "refuse"  # the guest said no
    GONE = "gone"  # the guest let go, or ended
    RECONFIGURE = "reconfigure"
    RECONFIGURED = "reconfigured"
    RESUME = "resume"
    FRONTEND_INITIALISING = "frontend-initialising"
    ABORT = "abort"  # undone


_S, _T = State, Trigger

TRANSITIONS: dict[tuple[End, State, Trigger], State] = {
    (End.FRONTEND, _S.UNKNOWN, _T.RESERVE): _S.INITIALISING,
    (End.FRONTEND, _S.CLOSED, _T.RESERVE): _S.INITIALISING,
    (End.FRONTEND, _S.INITIALISING, _T.ATTACH): _S.INITIALISED,
    (End.FRONTEND, _S.INITIALISING, _T.ABORT): _S.CLOSED,
    (End.FRONTEND, _S.INITIALISED, _T.CONNECT): _S.CONNECTED,
    (End.FRONTEND, _S.INITIALISED, _T.ASK): _S.CLOSING,
    (End.FRONTEND, _S.INITIALISED, _T.GONE): _S.CLOSED,
    (End.FRONTEND, _S.CONNECTED, _T.ASK): _S.CLOSING,
    (End.FRONTEND, _S.CONNECTED, _T.GONE): _S.CLOSED,
    (End.FRONTEND, _S.CLOSING, _T.ASK): _S.CLOSING,
    (End.FRONTEND, _S.CLOSING, _T.REFUSE): _S.CONNECTED,
    (End.FRONTEND, _S.CLOSING, _T.GONE): _S.CLOSED,
    (End.BACKEND, _S.UNKNOWN, _T.RESERVE): _S.INITIALISING,
    (End.BACKEND, _S.INITIALISING, _T.ALLOCATE): _S.INIT_WAIT,
    (End.BACKEND, _S.INITIALISING, _T.ABORT): _S.CLOSED,
    (End.BACKEND, _S.INIT_WAIT, _T.PLUG): _S.INITIALISED,
    (End.BACKEND, _S.INIT_WAIT, _T.ABORT): _S.CLOSED,
    (End.BACKEND, _S.INITIALISED, _T.ATTACH): _S.CONNECTED,
    (End.BACKEND, _S.INITIALISED, _T.ABORT): _S.CLOSED,
    (End.BACKEND, _S.CONNECTED, _T.ASK): _S.CLOSING,
    (End.BACKEND, _S.CONNECTED, _T.GONE): _S.CLOSED,
    (End.BACKEND, _S.CONNECTED, _T.RECONFIGURE): _S.RECONFIGURING,
    (End.BACKEND, _S.RECONFIGURING, _T.RECONFIGURED): _S.RECONFIGURED,
    (End.BACKEND, _S.RECONFIGURING, _T.ABORT): _S.CONNECTED,
    (End.BACKEND, _S.RECONFIGURED, _T.RESUME): _S.CONNECTED,
    (End.BACKEND, _S.CLOSING, _T.ASK): _S.CLOSING,
    (End.BACKEND, _S.CLOSING, _T.REFUSE): _S.CONNECTED,
    (End.BACKEND, _S.CLOSING, _T.GONE): _S.CLOSED,
    # Closed -> InitWait by this trigger alone: never by itself, for no kind of backend.
    (End.BACKEND, _S.CLOSED, _T.FRONTEND_INITIALISING): _S.INIT_WAIT,
}


def move(end: End, state: State, trigger: Trigger) -> State:
    """The state after `trigger`; `IllegalTransition` (and nothing changed) where the table has none."""
    try:
        return TRANSITIONS[end, state, trigger]
    except KeyError:
        raise IllegalTransition(
            f"a {end} that is {state} cannot take '{trigger}'; the lifecycle table has no such move"
        ) from None
