"""What people read of identities and policies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from virtnetplug.cli.table import Screen, printable, prose, table

if TYPE_CHECKING:
    from virtnetplug.model.identity import CandidateView, IdentityView, PolicyView, TwinView

_IDENTITIES = ("DOMAIN", "NIC", "IS IN", "HANDED OVER", "TWIN", "TWIN IS IN")
_CANDIDATES = ("RANK", "NIC", "DEVICE", "ADDRESS", "LINK", "IS TO", "WHY")


def text_from_identities(screen: Screen, found: Sequence[IdentityView]) -> str:
    """A table with a line for each emulated NIC that is remembered."""
    rows = [
        (
            each.domain, each.alias, _where(each.live, each.config), "yes" if each.is_out else "no", each.vif,
            _where(each.vif_live, each.vif_config),
        )
        for each in found
    ]  # fmt: skip
    return table(screen, _IDENTITIES, rows) if rows else "nothing is remembered\n"


def text_from_policy(screen: Screen, found: PolicyView) -> str:
    """The policy, what it makes of each emulated NIC with a twin, and a table for each group."""
    whose = "its own" if found.own is not None else "the host's default"
    default = f"; the host's default is {found.host}" if found.own is not None else ""
    text = f"{printable(found.domain)}: unplug {found.unplug} ({whose}{default})\n"
    text += "".join(_twin(twin) for twin in found.twins)
    for group in found.groups:
        text += f"\none of {printable(', '.join(sorted(each.alias for each in group)))} serves:\n"
        text += table(screen, _CANDIDATES, [_candidate(each) for each in group])
    return text


def _twin(twin: TwinView) -> str:
    where = [name for name, goes in (("the guest", twin.unplug_live), ("the definition", twin.unplug_config)) if goes]
    verdict = f"goes from {' and '.join(where)}" if where else "stays"
    if where and not twin.is_there:
        verdict += " (and has gone)"
    return f"{printable(twin.alias)}, whose fast twin is {printable(twin.vif)}, {verdict}: {prose(twin.why)}\n"


def _candidate(each: CandidateView) -> tuple[object, ...]:
    wanted = "" if each.rank is None else "be held down" if each.is_held else "serve"
    why = f"{each.why}; its link cannot be held down: {each.obstacle}" if each.obstacle else each.why
    return each.rank or "", each.alias, each.device, each.address or "", each.link_state, wanted, why


def _where(live: bool, config: bool) -> str:
    return "both" if live and config else "live" if live else "config" if config else "none"
