"""``virtnetplug devices``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render
from virtnetplug.cli.session import Session


@options.command("devices", epilog="Examples:\n  virtnetplug devices\n  virtnetplug devices --json")
@click.pass_obj
def command(session: Session) -> None:
    """Show every SR-IOV network device of this host: each PF with its VFs, who has them, their settings and their health.

    Who holds a VF open and how it is set can only be seen by root; what could not be looked at is named at the end.
    """
    with session.plugger("looking at the devices", read_only=True) as plugger:
        tree = plugger.devices()

    from virtnetplug.cli import tree as drawing

    session.answer(render.document_from_devices(tree), lambda screen: drawing.text_from_devices(tree))
