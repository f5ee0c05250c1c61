"""Whether a host is fit for SR-IOV hot-plug."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Verdict(enum.StrEnum):
    """Of one check. Only `MISSING` makes a host unfit."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: `name` is stable, `subject` the device or network it is about (empty: the host).

    `found` says what is there, `remedy` what to do, empty where nothing is to be done.
    """

    name: str
    verdict: Verdict
    found: str
    subject: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """All checks, in the order in which one depends on another."""

    checks: tuple[Check, ...]

    @property
    def fit(self) -> bool:
        """Nothing that SR-IOV hot-plug needs is missing."""
        return all(check.verdict is not Verdict.MISSING for check in self.checks)
