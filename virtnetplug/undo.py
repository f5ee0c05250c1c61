"""The undo stack of one operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from virtnetplug import interruption
from virtnetplug.errors import Failed, VirtnetplugError


class WaitsForUndo(Failed):
    """An undo that waits for another one, which failed: the failure of that one is what is reported."""


def causes_of(failures: Sequence[VirtnetplugError]) -> Sequence[VirtnetplugError]:
    """The failed undos that did not fail because of another one."""
    return [error for error in failures if not isinstance(error, WaitsForUndo)] or failures


@dataclass(slots=True)
class UndoStack:
    """Undos registered right after each effect, run newest first unless `commit` was called.

    Not `contextlib.ExitStack`: a failing undo there replaces the first error. Here the first error stays
    the one reported, every undo is tried, and their failures are returned.
    """

    _undos: list[tuple[str, Callable[[], None]]] = field(default_factory=list)

    def add(self, name: str, undo: Callable[[], None]) -> None:
        """Register the undo of the latest effect; `name` is the step's."""
        self._undos.append((name, undo))

    def commit(self) -> None:
        """The operation succeeded: forget the undos."""
        self._undos.clear()

    def __len__(self) -> int:
        return len(self._undos)

    @interruption.held()
    def unwind(self, down_to: int = 0) -> list[tuple[str, VirtnetplugError]]:
        """Run the undos, newest first, until only the oldest `down_to` are left; return the errors of the undos that failed.

        An undo that failed stays on the stack: an empty stack means that everything is undone. No signal interrupts an undo, or a wait inside it.
        """
        failed: list[tuple[str, Callable[[], None]]] = []
        failures: list[tuple[str, VirtnetplugError]] = []
        while len(self._undos) > down_to:
            name, undo = self._undos.pop()
            try:
                undo()
                continue
            except VirtnetplugError as error:
                failures.append((name, error))
            except Exception as error:  # noqa: BLE001 - a fault in one undo must not keep the others from being tried
                failure = VirtnetplugError(f"{type(error).__name__}: {error}")
                failure.__cause__ = error
                failures.append((name, failure))
            failed.append((name, undo))
        self._undos += reversed(failed)
        return failures
