"""Whether an emulated NIC is unplugged because its fast twin is there (XENBUS's forced unplug, if the owner opted in)."""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.errors import NotSupported, UsageError
from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.operation import Half, Scope

NICS = "NICS"
DISKS = "DISKS"


@dataclass(frozen=True, slots=True)
class Decision:
    """The definitions from which the emulated NIC is unplugged, live first, and why, as a sentence for people."""

    halves: tuple[Half, ...]
    why: str


def decide(
    policy: UnplugPolicy, *, twin_present: bool, twin_connected: bool, is_teaming_persistent: bool, scope: Scope
) -> Decision:
    """What `policy` decides for an emulated NIC whose fast twin is in the definitions of `scope` (`twin_present`).

    The NIC leaves no definition in which no twin can serve instead. `twin_connected` is evidence of the running guest, so it
    decides nothing for the config. The persistent half of a teaming pair stays, whatever the policy.
    """
    if is_teaming_persistent:
        return Decision(
            (), "it is the persistent half of a teaming pair, which the guest needs when the transient half leaves"
        )
    if policy is UnplugPolicy.KEEP:
        return Decision((), "the policy keep unplugs no NIC automatically")
    if not twin_present:
        return Decision((), "its fast twin is not there, so the guest would have no NIC")
    if policy is UnplugPolicy.PRESENT:
        return Decision(scope.halves, "its fast twin is there, and need not be connected")
    if Half.LIVE not in scope.halves:
        return Decision(
            (), "the policy active depends on the running guest, and the fast twin is only in the definition"
        )
    if not twin_connected:
        return Decision((), "its fast twin is there, and the guest has not connected to it yet")
    return Decision((Half.LIVE,), "the guest is connected to its fast twin")


def parse(words: str) -> UnplugPolicy:
    """The policy that the argument of ``force-unplug`` means: ``NICS`` is `PRESENT`.

    Raises `NotSupported` for anything with ``DISKS`` in it, `UsageError` for all else.
    """
    asked = [word.strip().upper() for word in words.split(",")]
    if DISKS in asked:
        raise NotSupported(
            f"{DISKS} is not supported: virtnetplug attaches and detaches NICs, and never a disk. Give {NICS} alone."
        )
    if asked != [NICS]:
        raise UsageError(f"'{words}' cannot be unplugged by force; give {NICS}")
    return UnplugPolicy.PRESENT
