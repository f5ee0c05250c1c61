"""``metrics``, ``serve``, ``demo``, ``completion`` and ``man``: what serves other programs, and people who learn this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from virtnetplug.cli import complete, options, render
from virtnetplug.cli.output import write
from virtnetplug.cli.session import Session
from virtnetplug.cli.table import printable
from virtnetplug.errors import UsageError

if TYPE_CHECKING:
    from virtnetplug.metrics import Server


@options.command(
    "metrics",
    "virtnetplug metrics",
    "virtnetplug metrics > /var/lib/node_exporter/virtnetplug.prom",
)
def metrics(session: Session) -> None:
    """Print metrics in Prometheus' text format, computed from the journal; no hypervisor is asked.

    -c also looks at the host: at its SR-IOV devices, and on Xen at the states of vifs.
    """
    from virtnetplug.metrics import exposition

    with session.journal() as journal, session.looks() as looks:
        text = exposition(journal, **looks).decode()
    session.answer(render.document(exposition=text), lambda screen: text)


ADDRESS = "127.0.0.1:9977"


@options.command("serve", "virtnetplug serve", "virtnetplug serve --listen '[::1]:9977'")
@click.option("--listen", default=ADDRESS, metavar="HOST:PORT", help=f"Address to listen on (default {ADDRESS}).")
def serve(session: Session, listen: str) -> None:
    """Answer Prometheus at /metrics, computed from the journal at each scrape.

    -c also looks at the host: at its SR-IOV devices, and on Xen at the states of vifs. The server ends on SIGTERM or Ctrl-C, with exit code 0.
    """
    from virtnetplug.metrics import serve as serve_metrics

    def ready(server: Server) -> None:
        if session.is_json:
            session.write_document(render.document("serving", listen=str(server)))
        else:
            write(f"serving http://{server}/metrics\n")

    with session.journal() as journal, session.looks() as looks:
        serve_metrics(journal, listen, ready=ready, **looks)


@options.command("demo", "virtnetplug demo", "virtnetplug demo --keep")
@click.option("--keep", is_flag=True, help="Leave the demonstration's directory in place, to look around in.")
def demo(session: Session, keep: bool) -> None:
    """Boot a small virtual machine of its own and attach, list, update and detach NICs while it runs."""
    lines: list[str] = []

    def say(text: str) -> None:
        lines.append(text)
        if not session.is_json:
            write("".join(f"{printable(line)}\n" for line in text.split("\n")))

    code = session.exit_code = session.wiring.demo(say, keep=keep)
    if session.is_json:
        reason = "demo-failed" if code else ""
        session.write_document(
            render.document("failed" if code else "done", reason=reason, exit_code=code, lines=lines)
        )


@options.command(
    "completion",
    "source <(virtnetplug completion bash)",
    "virtnetplug completion zsh > ~/.zfunc/_virtnetplug",
    "virtnetplug completion fish > ~/.config/fish/completions/virtnetplug.fish",
)
@click.argument("shell", type=click.Choice(complete.SHELLS))
def completion(session: Session, shell: str) -> None:
    """Print the completion script of SHELL (bash, zsh or fish), domains and NICs included."""
    script = complete.script(shell)
    session.answer(render.document(shell=shell, script=script), lambda screen: script + "\n")


@options.command("man", "virtnetplug man --output /usr/local/share/man/man1", hidden=True)
@click.option(
    "--output", required=True, metavar="DIR", help="Directory to write the pages to; it is made if it is not there."
)
def man(session: Session, output: str) -> None:
    """Write the man pages, one per command, from the commands' own help."""
    from virtnetplug.cli.man import pages

    directory, files = Path(output), pages()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The man pages cannot be written to '{output}': {error.strerror}.") from error
    written = "".join(f"{directory / name}\n" for name in files)
    session.answer(render.document(files=list(files)), lambda screen: written)
