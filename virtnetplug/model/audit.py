"""What an audit found, and whether a host is fit for SR-IOV hot-plug."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A disagreement between two views of the same NIC.

    `kind` is stable (``tap-not-in-bridge``, ``port-missing``, ``port-orphaned``, ``config-differs``, ``alias-duplicate``,
    ``mac-duplicate``, ``nic-gone``, ``operation-open``, ``orphan-tap``, …). `repair` is a sentence that says what a repair
    would do, empty where no repair is safe. `repaired` is None until a repair was tried.
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
    """`domains` and `nics` count what the audit saw, in `seconds`; `unseen` names what it could not see, and why."""

    domains: int
    nics: int
    findings: tuple[Finding, ...]
    seconds: float
    unseen: tuple[str, ...] = ()


class Verdict(enum.StrEnum):
    """The verdict of a check. Only `MISSING` makes a host unfit."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the host: `name` is stable, `subject` the device or network it is about (empty: the host).

    `found` says what is there; `remedy` says what to do, and is empty where nothing needs to be done.
    """

    name: str
    verdict: Verdict
    found: str
    subject: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All checks, each after those it depends on."""

    checks: tuple[Check, ...]

    @property
    def fit(self) -> bool:
        """Nothing that SR-IOV hot-plug needs is missing."""
        return all(check.verdict is not Verdict.MISSING for check in self.checks)
