"""One run of a domain: from a start to its end, with what a save and a restore, or a migration, carry on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    """What tells one run of a domain from the next.

    `id` is libvirt's: after a restart of the host, or of libvirtd, ids begin anew. `process` names what runs the guest, with the boot of the host and
    the moment of its start; it is empty where that cannot be seen, as on another host. `mark` is the id of the operation on this run, or
    empty. An operation writes its id into the live metadata before it asks the guest, and only there does the id outlive a save and a restore, or a
    migration. `is_marked` says that it is known to have been written: a call may die between the guest's metadata and the journal. `seen` is a moment at which
    the run was there, in Unix seconds, or 0: records of journal version 4 say no process, and a process that began later is that of another run.
    `between_hosts` says that the run was paused for a migration when it was last looked at: its guest may run on the other host, whatever became of
    this half since.
    """

    id: int = -1
    process: str = ""
    mark: str = field(default="", compare=False)
    is_marked: bool = field(default=False, compare=False)
    seen: float = field(default=0.0, compare=False)
    between_hosts: bool = field(default=False, compare=False)

    def marked(self, operation_id: str) -> Run:
        """The same run, which carries the mark of that operation."""
        return dataclasses.replace(self, mark=operation_id, is_marked=True)

    def matches(self, other: Run) -> bool:
        """Whether both may be the same run, by id and process; one without a process matches by its id."""
        return self.id == other.id and ("" in (self.process, other.process) or self.process == other.process)

    @property
    def request(self) -> list[Any]:
        """As the journal keeps it, without the mark."""
        return [self.id, self.process]

    @classmethod
    def from_request(cls, said: object) -> Run:
        """The run that the journal has: requests of earlier versions have the id alone."""
        if isinstance(said, int):
            return cls(said)
        if isinstance(said, Sequence) and len(said) == 2 and isinstance(said[0], int) and isinstance(said[1], str):
            return cls(said[0], said[1])
        return NO_RUN


NO_RUN = Run()
"""No run: that of a domain that does not run; or, where one is asked for, whichever there is."""
