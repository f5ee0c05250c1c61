"""What an audit found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One disagreement between two views of the same NIC.

    `kind` is stable (``tap-not-in-bridge``, ``port-missing``, ``port-orphaned``, ``config-differs``, ``alias-duplicate``,
    ``mac-duplicate``, ``nic-gone``, ``operation-open``, ``orphan-tap``, …). `repair` says in a sentence what
    a repair would do, empty where nothing is safe to do by itself; `repaired` is None until a repair was tried.
    """

    kind: str
    domain: str
    nic: str
    message: str
    remedy: str
    repair: str = ""
    repaired: bool | None = None
    network: str = ""
    device: str = ""
    domain_uuid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """`domains` and `nics` say how much was looked at; `seconds` how long it took; `unseen` names what could not be looked at and why."""

    domains: int
    nics: int
    findings: tuple[Finding, ...]
    seconds: float
    unseen: tuple[str, ...] = ()
