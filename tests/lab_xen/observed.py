"""The states that a real netback and a Linux guest's netfront go through, as xenstored saw them written.

`test_xen_states` holds them to the lab; `docs/lifecycle.md` shows them beside the table of what virtnetplug sets.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.lifecycle import State

_S = State


@dataclass(frozen=True)
class Moves:
    """What one thing that is done makes of each end: its states, the first of which it had before."""

    frontend: tuple[State, ...]
    backend: tuple[State, ...]


OBSERVED = {
    "attach": Moves(
        (_S.UNKNOWN, _S.INITIALISING, _S.CONNECTED), (_S.UNKNOWN, _S.INITIALISING, _S.INIT_WAIT, _S.CONNECTED)
    ),
    "detach": Moves((_S.CONNECTED, _S.CLOSED), (_S.CONNECTED, _S.CLOSING, _S.CLOSED)),
    "the guest unbinds its driver": Moves((_S.CONNECTED, _S.CLOSING, _S.CLOSED), (_S.CONNECTED, _S.CLOSING, _S.CLOSED)),
    "the guest binds it again": Moves(
        (_S.CLOSED, _S.INITIALISING, _S.CONNECTED), (_S.CLOSED, _S.INIT_WAIT, _S.CONNECTED)
    ),
    "dom0 unbinds its driver": Moves((_S.CONNECTED,), (_S.CONNECTED,)),
    "dom0 binds it again": Moves((_S.CONNECTED,), (_S.CONNECTED, _S.INIT_WAIT)),
    "its link is put where it belongs": Moves((_S.CONNECTED,), (_S.INIT_WAIT, _S.CONNECTED)),
    "the guest reboots, in the new domain": Moves(
        (_S.UNKNOWN, _S.INITIALISING, _S.CONNECTED), (_S.UNKNOWN, _S.INITIALISING, _S.INIT_WAIT, _S.CONNECTED)
    ),
}
