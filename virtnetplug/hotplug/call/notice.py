"""Noticing whether a domain's metadata contains a virtnetplug element. Only then are its policies looked at; no other domain pays for that."""

from __future__ import annotations

from typing import Any, cast

from virtnetplug import xml
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain


class Notice:
    """A domain for an operation (`watched`), and whether the operation has seen metadata of virtnetplug."""

    def __init__(self, domain: Domain) -> None:
        self.domain = domain
        self.has_metadata = False

    @property
    def watched(self) -> Domain:
        """The domain for an operation: every call goes through."""
        return cast(Domain, _Watched(self))


class _Watched:
    def __init__(self, notice: Notice) -> None:
        self._notice = notice

    def xml(self, half: Half) -> str:
        text = self._notice.domain.xml(half)
        self._notice.has_metadata |= xml.NAMESPACE in text
        return text

    def set_metadata(self, half: Half, text: str | None) -> None:
        self._notice.has_metadata = True
        self._notice.domain.set_metadata(half, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._notice.domain, name)
