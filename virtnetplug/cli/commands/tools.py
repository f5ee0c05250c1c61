"""``metrics``, ``serve``, ``demo``, ``completion`` and ``man``: what serves other programs, and people who learn this one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import ShellComplete, get_completion_class

from virtnetplug.cli import complete, options, render
from virtnetplug.cli.commands import root
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
    session.answer(render.document(exposition=text), text)


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
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(session: Session, shell: str) -> None:
    """Print the completion script of SHELL (bash, zsh or fish), domains and NICs included."""
    completer = get_completion_class(shell)
    assert completer is not None, shell
    # The base class's: bash's own first starts a bash to ask for its version.
    script = ShellComplete.source(completer(root(), {}, "virtnetplug", complete.VARIABLE))
    session.answer(render.document(shell=shell, script=script), script + "\n")


@options.command("man", "virtnetplug man --output /usr/local/share/man/man1", hidden=True)
@click.option(
    "--output", required=True, metavar="DIR", help="Directory to write the pages to; it is made if it is not there."
)
def man(session: Session, output: str) -> None:
    """Write the man pages, one per command, from the commands' own help."""
    directory, files = Path(output), pages()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"The man pages cannot be written to '{output}': {error.strerror}.") from error
    written = "".join(f"{directory / name}\n" for name in files)
    session.answer(render.document(files=list(files)), written)


def pages() -> dict[str, str]:
    """File name to text: ``virtnetplug.1`` and one page per command, in man(7) macros, made from the help of the commands."""
    program = root()
    return dict(_pages(program, click.Context(program, info_name="virtnetplug")))


def _pages(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield f"{context.command_path.replace(' ', '-')}.1", _page(command, context)
    # The commands of ``plan`` have their pages already.
    if isinstance(command, options.Group) or context.parent is None:
        for name, each in _commands(command, context):
            yield from _pages(each, click.Context(each, info_name=name, parent=context))


def _commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        found = ((name, command.get_command(context, name)) for name in command.list_commands(context))
        yield from ((name, each) for name, each in found if each is not None)


def _page(command: click.Command, context: click.Context) -> str:
    path = context.command_path
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH "{_roff(path.replace(" ", "-").upper())}" "1" "" "virtnetplug"',
        ".SH NAME",
        f"{_roff(path.replace(' ', '-'))} \\- {_roff(command.get_short_help_str(200).rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_roff(path)}",
        _roff(usage),
        ".SH DESCRIPTION",
        *_paragraphs(command.help or ""),
    ]
    commands = [(f"{path} {name}", each.get_short_help_str(200)) for name, each in _commands(command, context)]
    if commands:
        lines += [".SH COMMANDS", *_definitions(commands)]
    for title, kind in (("OPTIONS", click.Option), ("GLOBAL OPTIONS", options.GlobalOption)):
        records = [param.get_help_record(context) for param in command.get_params(context) if type(param) is kind]
        lines += [f".SH {title}", *_definitions([record for record in records if record])]
    if command.epilog:
        lines += [".SH NOTES", ".nf", *(_roff(line) for line in command.epilog.split("\n") if line != "\b"), ".fi"]
    return "\n".join(lines) + "\n"


def _paragraphs(text: str) -> list[str]:
    lines = []
    for paragraph in text.strip().split("\n\n"):
        lines += [".PP", *(_roff(line.strip()) for line in paragraph.split("\n"))]
    return lines


def _definitions(records: list[tuple[str, str]]) -> list[str]:
    return [line for term, text in records for line in (".TP", f"\\fB{_roff(term)}\\fR", _roff(text))]


def _roff(text: str) -> str:
    """`text` with roff's own characters escaped; a leading dot or quote would be a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    escaped = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in escaped)
    return "\\&" + escaped if escaped[:1] in (".", "'") else escaped
