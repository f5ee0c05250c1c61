"""``virtnetplug plan OP …``: the same as ``virtnetplug OP … --plan``."""

from __future__ import annotations

import click

from virtnetplug.cli.commands import LazyGroup
from virtnetplug.cli.session import Session


@click.group(
    "plan", cls=LazyGroup,
    names=("attach", "detach", "update", "rebind", "handover", "handback", "recover", "audit"),
    subcommand_metavar="OPERATION [ARGS]...",
    epilog="Examples:\n  virtnetplug plan attach web1 --network default\n  virtnetplug plan recover",
)  # fmt: skip
@click.pass_obj
def plan(session: Session) -> None:
    """Say what OPERATION would do, touching nothing: the steps, the XML diff, and what speaks against it.

    The same as OPERATION with --plan. Exit code 3 if it would be refused.
    """
    session.is_plan = True
