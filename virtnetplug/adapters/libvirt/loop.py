"""libvirt's event loop: one per process, run by whoever says so."""

from __future__ import annotations

import threading

import libvirt

from virtnetplug.errors import EventLoopConflict

_lock = threading.Lock()
_runner: threading.Thread | None = None


def start() -> None:
    """Register libvirt's default loop and run it in a daemon thread; once per process, later calls do nothing.

    Call it before the first connection is opened (``virEventRegisterDefaultImpl``). Raises `EventLoopConflict` if the application
    has registered a loop of its own. libvirt would silently ignore the second loop, and nobody could say who runs it.
    """
    global _runner
    with _lock:
        if _runner is not None:
            return
        if _has_foreign_loop():
            raise EventLoopConflict(
                "this process already has a libvirt event loop, registered by the application. A second one cannot be: "
                "call virtnetplug.open(..., event_loop='caller') and keep running yours."
            )
        libvirt.virEventRegisterDefaultImpl()
        _runner = threading.Thread(target=_run, name="libvirt-events", daemon=True)
        _runner.start()


def is_callers() -> bool:
    """Whether the process has an event loop of libvirt's that `start` does not run."""
    return _runner is None and _has_foreign_loop()


def _has_foreign_loop() -> bool:
    # virEventAddTimeout returns -1 while no implementation is registered; a timeout of -1 never fires.
    try:
        timer = libvirt.virEventAddTimeout(-1, _never, None)
    except libvirt.libvirtError:
        return False
    if timer < 0:
        return False
    libvirt.virEventRemoveTimeout(timer)
    return True


def _never(timer: int, opaque: object) -> None:
    """A callback for a timer that does not fire."""


def _run() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:  # EINTR and the like: there is no other loop to fall back on
            continue
