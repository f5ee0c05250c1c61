"""A domain that notes whether it keeps metadata of virtnetplug. Only such a domain can have policies, so no other domain pays for a look at them."""

from __future__ import annotations

from typing import Any

from virtnetplug import xml
from virtnetplug.model.operation import Half
from virtnetplug.ports.domain import Domain


class Notice:
    """Stands for `domain` in an operation: every call goes through to the domain."""

    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        self.has_metadata = False

    def xml(self, half: Half) -> str:
        """See `Domain.xml`."""
        text = self._domain.xml(half)
        self.has_metadata |= xml.NAMESPACE in text
        return text

    def set_metadata(self, half: Half, text: str | None) -> None:
        """See `Domain.set_metadata`."""
        self.has_metadata = True
        self._domain.set_metadata(half, text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._domain, name)
