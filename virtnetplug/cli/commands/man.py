"""``virtnetplug man``."""

from __future__ import annotations

from pathlib import Path

import click

from virtnetplug.cli import options, render
from virtnetplug.cli.session import Session
from virtnetplug.errors import UsageError


@options.command("man", epilog="Examples:\n  virtnetplug man --output /usr/local/share/man/man1", hidden=True)
@click.option(
    "--output", required=True, metavar="DIR", help="Directory to write the pages to; it is made if it is not there."
)
@click.pass_obj
def command(session: Session, output: str) -> None:
    """Write the man pages, one per command, from the commands' own help."""
    from virtnetplug.cli.man import pages

    directory = Path(output)
    names = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in pages().items():
            (directory / name).write_text(text, encoding="utf-8")
            names.append(name)
    except OSError as error:
        raise UsageError(f"The man pages cannot be written to '{output}': {error.strerror}.") from error
    session.answer(render.document(files=names), lambda screen: "".join(f"{directory / name}\n" for name in names))
