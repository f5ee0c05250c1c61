"""Operations, their steps, and what they answer."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace
from typing import Any

from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import is_lasting, known_as
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.run import Run
from virtnetplug.model.travelling import KnownNic


class Half(enum.StrEnum):
    """One of a domain's two definitions."""

    LIVE = "live"
    CONFIG = "config"


class Scope(enum.StrEnum):
    """What an operation changes, as libvirt spells it (``VIR_DOMAIN_AFFECT_*``)."""

    LIVE = "live"
    CONFIG = "config"
    BOTH = "both"

    @property
    def halves(self) -> tuple[Half, ...]:
        """The definitions this scope touches, live first."""
        return {
            Scope.LIVE: (Half.LIVE,),
            Scope.CONFIG: (Half.CONFIG,),
            Scope.BOTH: (Half.LIVE, Half.CONFIG),
        }[self]


class Phase(enum.StrEnum):
    """Where the time of an operation goes (label of ``virtnetplug_operation_duration_seconds``)."""

    ALLOCATE = "allocate"
    PLUG = "plug"
    GUEST = "guest"
    UNPLUG = "unplug"
    RELEASE = "release"


class OperationState(enum.StrEnum):
    """Of an operation in the journal. The first three are open: `recover` has work to do, or its owner has."""

    RUNNING = "running"
    PENDING = "pending"
    INCOMPLETE = "incomplete"
    DONE = "done"
    UNDONE = "undone"
    REFUSED = "refused"
    LEFT = "left"
    """Its guest has left this host, or its domain is no more: nobody here can finish it, and what became of it is not known here."""


OPEN_STATES = (OperationState.RUNNING, OperationState.PENDING, OperationState.INCOMPLETE)


class StepState(enum.StrEnum):
    """Of one step in the journal."""

    PLANNED = "planned"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"
    UNDO_FAILED = "undo-failed"


class Result(enum.StrEnum):
    """How an operation ended, for its caller."""

    DONE = "done"
    ALREADY = "already"
    PENDING = "pending"
    UNDONE = "undone"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"
    LEFT = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of an operation. `seconds` is None until it has ended."""

    seq: int
    name: str
    nic: str
    phase: Phase
    half: Half | None = None
    state: StepState = StepState.PLANNED
    started: float | None = None
    seconds: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord:
    """One row of the journal: all that `recover` needs to finish or undo it, times in Unix seconds.

    `request` is JSON-able and holds, per NIC, what was minted and what was there before
    (the operation that wrote it says which keys). `uri` is the connection's as it was dialled; `hypervisor` the key of what
    answers there (`Hypervisor.key`).
    """

    id: str
    operation: str
    uri: str
    hypervisor: str
    domain_uuid: str
    domain_name: str
    domain_id: int = -1
    process: str = ""
    scope: Scope = Scope.LIVE
    device_type: str = "none"
    request: dict[str, Any] = field(default_factory=dict)
    state: OperationState = OperationState.RUNNING
    result: str = ""
    reason: str = ""
    error: str = ""
    owner: str = ""
    started: float = 0.0
    ended: float | None = None
    steps: tuple[Step, ...] = ()
    unreadable: str = ""
    """What of the row this version does not understand: a newer one wrote it, or it is damaged."""

    @property
    def kind(self) -> str:
        """Which operation of that name it is: a ``rebind`` is a ``move``, a ``heal`` or one of a ``vif``; others have none."""
        return str(self.request.get("kind") or "")

    @property
    def goes_back(self) -> bool:
        """Whether it had begun to be undone, where it would else be finished."""
        return bool(self.request.get("back"))

    @property
    def touched(self) -> frozenset[tuple[str, str]]:
        """The NICs it works on, by domain UUID and alias: one of a PF works on many guests' NICs, each with its domain."""
        return frozenset((entry.get("domain_uuid", self.domain_uuid), entry["alias"]) for entry in self.named)

    @property
    def named(self) -> tuple[dict[str, Any], ...]:
        """What its request says of each NIC that it names; nothing of what is no such thing in a row of a newer version."""
        nics = self.request.get("nics", ())
        known = [entry for entry in nics if isinstance(entry, dict)] if isinstance(nics, list | tuple) else []
        return tuple(entry for entry in known if isinstance(entry.get("alias"), str))

    @property
    def asked(self) -> tuple[str, ...] | None:
        """The aliases of the NICs that it asks its guest for; None if its request does not say."""
        asked = self.request.get("asked")
        return tuple(alias for alias in asked if isinstance(alias, str)) if isinstance(asked, list | tuple) else None

    @property
    def asked_nics(self) -> tuple[KnownNic, ...]:
        """The NICs that it asks its guest for, once for each guest address that its request has of them."""
        found = []
        for entry in self.named if self.asked else ():
            mac, places = entry.get("mac"), entry.get("places")
            if entry["alias"] in (self.asked or ()) and isinstance(mac, str):
                known = places if isinstance(places, list) and places else ("",)
                found += [KnownNic(entry["alias"], mac, "", str(place)) for place in known]
        return tuple(found)

    @property
    def names(self) -> frozenset[str]:
        """What all NICs of its request are known by in every run (`names_of`)."""
        return frozenset(name for entry in self.named for name in self.names_of(entry["alias"]))

    def names_of(self, alias: str) -> frozenset[str]:
        """What the NICs of its request that have this alias are known by in every run (`lasting_name`).

        A NIC whose two halves have two guest addresses has two names. A NIC that an operation of no one domain gives an alias has the names with
        that alias and without it: it does not have the alias yet. The request may lack the addresses, and the MAC.
        """
        found = set[str]()
        for entry in self.named:
            if entry["alias"] != alias:
                continue
            mac, places = entry.get("mac"), entry.get("places")
            mac = mac if isinstance(mac, str) else ""
            if is_lasting(alias):
                found.add(known_as(alias, mac))
            if mac and not (is_lasting(alias) and self.domain_uuid):
                found.update(
                    known_as(mac, place) for place in (places if isinstance(places, list) and places else ("",))
                )
        return frozenset(found or {alias})

    @property
    def run(self) -> Run:
        """The run of its domain that it was begun with, and the mark that it may have left there."""
        return self._marked(Run(self.domain_id, self.process, seen=self.started))

    @property
    def run_asked(self) -> Run:
        """The run of its domain that was asked last to let go of its NICs."""
        if "run" not in self.request:
            return self.run
        asked = (step.started or 0.0 for step in self.steps if step.name == "ask")
        return self._marked(replace(Run.from_request(self.request["run"]), seen=max(self.started, *asked, 0.0)))

    def _marked(self, run: Run) -> Run:
        is_marked, between_hosts = (bool(self.request.get(key)) for key in ("marked", "between_hosts"))
        return replace(run, mark=self.id, is_marked=is_marked, between_hosts=between_hosts)

    @property
    def remembers(self) -> frozenset[str]:
        """The NICs whose record in the domain's metadata it changes."""
        changes = self.request.get("remembered", ())
        known = [entry for entry in changes if isinstance(entry, dict)] if isinstance(changes, list | tuple) else []
        return frozenset(entry["name"] for entry in known if isinstance(entry.get("name"), str))


@dataclass(frozen=True, slots=True, kw_only=True)
class NicRecord:
    """A NIC virtnetplug plugged, as the journal knows it: one per `hypervisor` (`Hypervisor.key`), domain UUID and alias. `since` in Unix seconds.

    `process` names the run of the domain that it was last looked for in (`Run.process`). One that only the definition has is Closed at both ends.
    """

    uri: str
    hypervisor: str
    domain_uuid: str
    domain_name: str
    alias: str
    mac: str
    type: str
    source: str = "-"
    model: str = ""
    target: str = ""
    portid: str = ""
    network: str = ""
    frontend: State = State.UNKNOWN
    backend: State = State.UNKNOWN
    process: str = ""
    operation_id: str = ""
    since: float = 0.0
    unreadable: str = ""
    """What of the row is damaged; the journal has no column of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A NIC as `list` and `show` give it.

    `live` and `config` say in which definitions it is; `pending` is the id of the operation that waits for the guest
    to let it go; `quarantine` why its host device could not be given back after it left; `origin` is ``virtnetplug``
    when the journal knows it, else ``foreign``. `migrates` is false if the NIC does not go along when its guest is migrated; None if the
    guest does not have the NIC.
    """

    domain: str
    domain_uuid: str
    alias: str | None
    mac: str | None
    type: str
    source: str
    model: str | None = None
    network: str | None = None
    portgroup: str | None = None
    portid: str | None = None
    target: str | None = None
    address: PciAddress | None = None
    host_address: PciAddress | None = None
    link_state: str = "up"
    live: bool = False
    config: bool = False
    frontend: State = State.UNKNOWN
    backend: State = State.UNKNOWN
    pending: str | None = None
    quarantine: str | None = None
    origin: str = "foreign"
    migrates: bool | None = None


class Deed(enum.StrEnum):
    """What a policy has done to a NIC."""

    UNPLUG = "unplug"
    LINK_UP = "link-up"
    LINK_DOWN = "link-down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """One thing that a policy of the domain had done beside an operation, by one of its own, and what came of that."""

    deed: Deed
    nic: str
    halves: tuple[Half, ...]
    why: str
    result: Result
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an operation answers. `seconds` is its whole duration; `warnings` are sentences; `enforced` is what policies had done besides."""

    operation: str
    domain: str
    result: Result
    operation_id: str = ""
    reason: str = ""
    message: str = ""
    nics: tuple[Nic, ...] = ()
    steps: tuple[Step, ...] = ()
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    enforced: tuple[Enforced, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """One thing that speaks against an operation, with its remedy in the message."""

    reason: str
    message: str
    nic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an operation would do: nothing was touched.

    `diff` maps ``live`` and ``config`` to a unified diff of that definition's XML; `fits` is false when `refusals` is not empty.
    """

    operation: str
    domain: str
    scope: Scope
    fits: bool
    refusals: tuple[Refusal, ...] = ()
    steps: tuple[Step, ...] = ()
    diff: dict[str, str] = field(default_factory=dict)
    actual: tuple[ActualDevice, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something an operation tells whoever listens, as it happens.

    `kind` is ``step`` (one began), ``waiting`` (for the guest or another process), ``state`` (a NIC's state changed) or ``warning``.
    """

    kind: str
    text: str
    operation_id: str = ""
    domain: str = ""
    nic: str = ""
