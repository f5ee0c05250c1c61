"""A run of a domain: from a start to its end, across a save and a restore, or a migration."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    """What tells one run of a domain from the next.

    `id` is libvirt's: after a restart of the host, or of libvirtd, ids begin anew. `process` names the process of the guest, with the boot of the
    host and the moment of its start. It is empty where nobody can see the process, as on another host.
    `mark` is the id of the operation on this run, or empty. An operation writes its id into the live metadata before it asks the guest. There the id
    outlives a save and a restore, or a migration. `is_marked` says that the id is known to be written: a call may die between that write
    and the journal.
    `seen` is a moment at which the run was there, in Unix seconds, or 0. Records of journal version 4 name no process: a process that
    began later belongs to another run.
    `between_hosts` says that the run was paused for a migration when virtnetplug last looked. Its guest may run on the other host, whatever happened to
    this half since.
    """

    id: int = -1
    process: str = ""
    mark: str = field(default="", compare=False)
    is_marked: bool = field(default=False, compare=False)
    seen: float = field(default=0.0, compare=False)
    between_hosts: bool = field(default=False, compare=False)

    def marked(self, operation_id: str) -> Run:
        """The same run, with the mark of that operation."""
        return dataclasses.replace(self, mark=operation_id, is_marked=True)

    def matches(self, other: Run) -> bool:
        """Whether both may be the same run, by id and process; a run without a process matches by its id."""
        return self.id == other.id and ("" in (self.process, other.process) or self.process == other.process)

    @property
    def request(self) -> list[Any]:
        """The run as the journal keeps it, without the mark."""
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
"""No run: the run of a domain that does not run. As a condition it means any run."""
