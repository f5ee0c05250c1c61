"""``virtnetplug demo``."""

from __future__ import annotations

import click

from virtnetplug.cli import options, render
from virtnetplug.cli.output import write
from virtnetplug.cli.session import Session
from virtnetplug.cli.table import printable


@options.command("demo", epilog="Examples:\n  virtnetplug demo\n  virtnetplug demo --keep")
@click.option("--keep", is_flag=True, help="Leave the demonstration's directory in place, to look around in.")
@click.pass_obj
def command(session: Session, keep: bool) -> None:
    """Boot a small virtual machine of its own and attach, list, update and detach NICs while it runs."""
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        if not session.is_json:
            write("".join(f"{printable(line)}\n" for line in text.split("\n")))

    code = session.wiring.demo(say, keep)
    result = "done" if code == 0 else "failed"
    if session.is_json:
        session.write_document(
            render.document(result, reason="" if code == 0 else "demo-failed", exit_code=code, lines=lines)
        )
    session.exit_code = code
