"""Man pages (man(7) macros), made from the commands' own help so that they cannot disagree."""

from __future__ import annotations

from collections.abc import Iterator

import click

from virtnetplug.cli.commands import root
from virtnetplug.cli.options import GlobalOption, Group


def pages() -> dict[str, str]:
    """File name to roff text: ``virtnetplug.1`` and one page per command."""
    program = root()
    return dict(_pages(program, click.Context(program, info_name="virtnetplug")))


def _pages(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield f"{context.command_path.replace(' ', '-')}.1", _page(command, context)
    if isinstance(command, Group) or context.parent is None:  # the commands of ``plan`` have their pages already
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
    for title, kind in (("OPTIONS", click.Option), ("GLOBAL OPTIONS", GlobalOption)):
        options = [param.get_help_record(context) for param in command.get_params(context) if type(param) is kind]
        lines += [f".SH {title}", *_definitions([record for record in options if record])]
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
