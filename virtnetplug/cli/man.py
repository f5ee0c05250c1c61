"""Man pages (man(7) macros), made from the commands' own help so that they cannot disagree."""

from __future__ import annotations

from collections.abc import Iterator

import click

from virtnetplug.cli.commands import root
from virtnetplug.cli.options import GlobalOption, Group


def pages() -> dict[str, str]:
    """File name to roff text: ``virtnetplug.1`` and one page per command."""
    program = root()
    context = click.Context(program, info_name="virtnetplug")
    found = {"virtnetplug.1": _page(program, context)}
    assert isinstance(program, click.Group)
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        if command is not None:
            within = click.Context(command, info_name=name, parent=context)
            found[f"virtnetplug-{name}.1"] = _page(command, within)
            for own, page in _own(command, within):
                found[f"virtnetplug-{name}-{own}.1"] = page
    return found


def _own(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Pages of the commands that only this one has; those of ``plan`` are the operations themselves."""
    for name, one in command.commands.items() if isinstance(command, Group) else ():
        yield name, _page(one, click.Context(one, info_name=name, parent=context))


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
    if isinstance(command, click.Group):
        lines += [
            ".SH COMMANDS",
            *_definitions(
                [(f"{path} {name}", _help(command, context, name)) for name in command.list_commands(context)]
            ),
        ]
    params = [(param, record) for param in command.get_params(context) if (record := param.get_help_record(context))]
    lines += [".SH OPTIONS", *_definitions([record for param, record in params if type(param) is click.Option])]
    lines += [
        ".SH GLOBAL OPTIONS",
        *_definitions([record for param, record in params if isinstance(param, GlobalOption)]),
    ]
    if command.epilog:
        lines += [".SH NOTES", ".nf", *(_roff(line) for line in command.epilog.split("\n") if line != "\b"), ".fi"]
    return "\n".join(lines) + "\n"


def _help(group: click.Group, context: click.Context, name: str) -> str:
    command = group.get_command(context, name)
    return command.get_short_help_str(200) if command else ""


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
