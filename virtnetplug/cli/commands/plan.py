"""``virtnetplug plan OP …``: the same as ``virtnetplug OP … --plan``."""

from __future__ import annotations

import click

from virtnetplug.cli.commands import COMMANDS, PLANNED, LazyGroup
from virtnetplug.cli.options import CONTEXT
from virtnetplug.cli.session import Session


@click.group(
    "plan", cls=LazyGroup, names={name: COMMANDS[name] for name in PLANNED}, context_settings=CONTEXT,
    subcommand_metavar="OPERATION [ARGS]...",
    epilog="\b\nExamples:\n  virtnetplug plan attach web1 --network default\n  virtnetplug plan recover",
)  # fmt: skip
@click.pass_obj
def command(session: Session) -> None:
    """Say what OPERATION would do, touching nothing: the steps, the XML diff, and what speaks against it.

    The same as OPERATION with --plan. Exit code 3 if it would be refused.
    """
    session.is_plan = True
