"""Operations, their steps, and what they answer."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from virtnetplug.lifecycle import State
from virtnetplug.model.actual import ActualDevice
from virtnetplug.model.interface import is_lasting, known_as
from virtnetplug.model.pci import PciAddress
from virtnetplug.model.run import Run
from virtnetplug.model.travelling import KnownNic

T = TypeVar("T")


class Half(enum.StrEnum):
    """The two definitions of a domain."""

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
        return (Half.LIVE, Half.CONFIG) if self is Scope.BOTH else (Half(self.value),)


class Phase(enum.StrEnum):
    """Where the time of an operation goes (label of ``virtnetplug_operation_duration_seconds``)."""

    ALLOCATE = "allocate"
    PLUG = "plug"
    GUEST = "guest"
    UNPLUG = "unplug"
    RELEASE = "release"


class OperationState(enum.StrEnum):
    """The state of an operation in the journal. The first three are open: its owner or `recover` has work to do."""

    RUNNING = "running"
    PENDING = "pending"
    INCOMPLETE = "incomplete"
    DONE = "done"
    UNDONE = "undone"
    REFUSED = "refused"
    LEFT = "left"
    """The guest left this host, or the domain is gone: nobody here can finish the operation, or knows how it ended."""


OPEN_STATES = (OperationState.RUNNING, OperationState.PENDING, OperationState.INCOMPLETE)


class StepState(enum.StrEnum):
    """The state of a step in the journal."""

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
    """A step of an operation. `seconds` is None until the step has ended."""

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
    """An operation as the journal keeps it: all that `recover` needs to finish or undo it, times in Unix seconds.

    `request` is JSON-able and holds, per NIC, what was minted and what was there before. The operation that wrote the request
    defines its keys. `uri` is the connection's as it was dialled; `hypervisor` the key of what answers there (`Hypervisor.key`).
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
    """The part of the row that this version does not understand: a newer version wrote the row, or it is damaged."""

    @property
    def kind(self) -> str:
        """The kind of operation under one name: a ``rebind`` is a ``move``, a ``heal`` or a ``vif``; others have none."""
        return str(self.request.get("kind") or "")

    @property
    def goes_back(self) -> bool:
        """Whether its undo had begun, where `recover` would otherwise finish it."""
        return bool(self.request.get("back"))

    @property
    def touched(self) -> frozenset[tuple[str, str]]:
        """The NICs it works on, by domain UUID and alias: an operation on a PF works on the NICs of many guests."""
        return frozenset((entry.get("domain_uuid", self.domain_uuid), entry["alias"]) for entry in self.named)

    @property
    def named(self) -> tuple[dict[str, Any], ...]:
        """The entries of its request that name a NIC by alias. A row of a newer version may have entries of another form."""
        return tuple(entry for entry in self._listed("nics", dict) if isinstance(entry.get("alias"), str))

    @property
    def asked(self) -> tuple[str, ...] | None:
        """The aliases of the NICs that it asks its guest to release; None if the request has no such list."""
        return self._listed("asked", str) if isinstance(self.request.get("asked"), list | tuple) else None

    @property
    def asked_nics(self) -> tuple[KnownNic, ...]:
        """The NICs that it asks its guest to release, once for each guest address in its request."""
        asked = [entry for entry in self.named if entry["alias"] in (self.asked or ())]
        return tuple(
            KnownNic(entry["alias"], entry["mac"], "", str(place))
            for entry in asked
            if isinstance(entry.get("mac"), str)
            for place in _places(entry)
        )

    @property
    def names(self) -> frozenset[str]:
        """The names of all NICs of its request that hold in every run (`names_of`)."""
        return frozenset(name for entry in self.named for name in self.names_of(entry["alias"]))

    def names_of(self, alias: str) -> frozenset[str]:
        """The names, which hold in every run (`lasting_name`), of the NICs of its request that have this alias.

        A NIC whose two halves have two guest addresses has two names. An operation without a domain of its own may give a NIC its alias later.
        Such a NIC has the names with the alias and without it. The request may lack the addresses, and the MAC.
        """
        found = set[str]()
        for entry in self.named:
            if entry["alias"] != alias:
                continue
            mac = entry["mac"] if isinstance(entry.get("mac"), str) else ""
            if is_lasting(alias):
                found.add(known_as(alias, mac))
            if mac and not (is_lasting(alias) and self.domain_uuid):
                found.update(known_as(mac, place) for place in _places(entry))
        return frozenset(found or {alias})

    @property
    def run(self) -> Run:
        """The run of its domain in which it began, and the mark that it may have left there."""
        return self._marked(Run(self.domain_id, self.process, seen=self.started))

    @property
    def run_asked(self) -> Run:
        """The run of its domain that was asked last to release its NICs."""
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
        changes = self._listed("remembered", dict)
        return frozenset(entry["name"] for entry in changes if isinstance(entry.get("name"), str))

    def _listed(self, key: str, kind: type[T]) -> tuple[T, ...]:
        """The items of that kind in a list of the request; none where the request has no such list."""
        items = self.request.get(key)
        return tuple(item for item in items if isinstance(item, kind)) if isinstance(items, list | tuple) else ()


def _places(entry: dict[str, Any]) -> Sequence[object]:
    """The guest addresses of a NIC of a request, or an empty address where the request has none."""
    places = entry.get("places")
    return places if isinstance(places, list) and places else ("",)


@dataclass(frozen=True, slots=True, kw_only=True)
class NicRecord:
    """A NIC virtnetplug plugged, as the journal knows it: one per `hypervisor` (`Hypervisor.key`), domain UUID and alias. `since` in Unix seconds.

    `process` names the run of the domain in which it was last looked for (`Run.process`). A NIC that only the definition has is Closed at both ends.
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
    """The damaged part of the row; the journal has no column of this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """A NIC as `list` and `show` give it.

    `live` and `config` say in which definitions it is. `pending` is the id of the operation that waits for the guest to release
    it. `quarantine` says why its host device could not be restored after it left. `origin` is ``virtnetplug`` when the journal
    knows the NIC, else ``foreign``. `migrates` is false if the NIC stays behind when its guest is migrated; None if the guest does not
    have the NIC.
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
    """The change of a NIC that a policy made."""

    UNPLUG = "unplug"
    LINK_UP = "link-up"
    LINK_DOWN = "link-down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforced:
    """A change that a policy of the domain made after an operation, by an operation of its own, and the result."""

    deed: Deed
    nic: str
    halves: tuple[Half, ...]
    why: str
    result: Result
    operation_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an operation answers. `seconds` is its whole duration; `warnings` are sentences; `enforced` are the changes that policies made."""

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
    """A reason against an operation, with its remedy in the message."""

    reason: str
    message: str
    nic: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What an operation would do: nothing was touched.

    `diff` maps ``live`` and ``config`` to a unified diff of that definition's XML; `fits` is false when `refusals` is not empty.
    `scope` is None if the operation was refused before its scope was looked at.
    """

    operation: str
    domain: str
    scope: Scope | None
    fits: bool
    refusals: tuple[Refusal, ...] = ()
    steps: tuple[Step, ...] = ()
    diff: dict[str, str] = field(default_factory=dict)
    actual: tuple[ActualDevice, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens in an operation, for whoever listens.

    `kind` is ``step`` (a step began), ``waiting`` (for the guest or another process), ``state`` (a NIC's state changed) or ``warning``.
    """

    kind: str
    text: str
    operation_id: str = ""
    domain: str = ""
    nic: str = ""
