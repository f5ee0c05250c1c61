"""``virtnetplug doctor``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render
from virtnetplug.cli.session import Session


@options.command("doctor", epilog="Examples:\n  virtnetplug doctor\n  virtnetplug doctor --json")
@click.pass_obj
def command(session: Session) -> None:
    """Say whether this host is fit for SR-IOV hot-plug, and what is missing, each with its remedy.

    Exit code 0 if it is fit, 1 if something is missing; a warning alone makes no host unfit.
    """
    session.log()
    with session.progress() as progress:
        progress.say("looking at this host")
        diagnosis = session.wiring.doctor(session.uri)

    from virtnetplug.cli import tree as drawing

    session.answer(render.document_from_diagnosis(diagnosis), lambda screen: drawing.text_from_diagnosis(diagnosis))
