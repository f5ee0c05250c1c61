"""``virtnetplug completion``."""

from __future__ import annotations

import click

from virtnetplug.cli import complete, options, render
from virtnetplug.cli.session import Session

_EPILOG = """Examples:
  source <(virtnetplug completion bash)
  virtnetplug completion zsh > ~/.zfunc/_virtnetplug
  virtnetplug completion fish > ~/.config/fish/completions/virtnetplug.fish"""


@options.command("completion", epilog=_EPILOG)
@click.argument("shell", type=click.Choice(complete.SHELLS))
@click.pass_obj
def command(session: Session, shell: str) -> None:
    """Print the completion script of SHELL (bash, zsh or fish), domains and NICs included."""
    script = complete.script(shell)
    session.answer(render.document(shell=shell, script=script), lambda screen: script + "\n")
