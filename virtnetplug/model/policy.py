"""What a domain remembers and what its policies come to, as `identity show` and `policy explain` answer it."""

from __future__ import annotations

from dataclasses import dataclass

from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.pci import PciAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityView:
    """One emulated NIC that a domain remembers.

    `vif` is its marker, the alias of its fast twin ("" for none). `live`, `config`, `vif_live` and `vif_config` say what is seen: whether
    that definition has the NIC, or its twin. `is_out` says that a hand-over has put it out. The elements are as they were last seen.
    """

    domain: str
    domain_uuid: str
    alias: str
    vif: str = ""
    live: bool = False
    config: bool = False
    vif_live: bool = False
    vif_config: bool = False
    is_out: bool = False
    live_element: str | None = None
    config_element: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TwinView:
    """What the unplug policy makes of one emulated NIC and its fast twin; `why` is a sentence.

    `is_there` says that a definition has the NIC, `is_connected` that there is evidence of the guest driving the twin.
    """

    alias: str
    vif: str
    is_there: bool
    is_connected: bool
    unplug_live: bool
    unplug_config: bool
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateView:
    """One NIC of those of which one is to serve. `rank` 1 serves; None is of a NIC that is no candidate now, `why` says why.

    `device` is vendor and device ("" where not known), `link_state` what the link is now, ``up`` or ``down``. `is_held` says that it is to
    be held link-down, and `obstacle` why it cannot be.
    """

    alias: str
    device: str = ""
    address: PciAddress | None = None
    rank: int | None = None
    why: str = ""
    link_state: str = ""
    is_held: bool = False
    obstacle: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyView:
    """All policies of a domain: `unplug` is the one that holds, `own` the domain's, `host` the host's default."""

    domain: str
    unplug: UnplugPolicy
    own: UnplugPolicy | None
    host: UnplugPolicy
    twins: tuple[TwinView, ...] = ()
    groups: tuple[tuple[CandidateView, ...], ...] = ()
