"""What messages of the core name in Python, as the command line names it: its own commands and flags.

A message names calls of the `Plugger` and their parameters in backticks (`errors.call`).
"""

from __future__ import annotations

import ast
import re
import shlex
from typing import Any

_SAME = (
    "attach", "audit", "detach", "devices", "doctor", "handback", "handover", "history", "list", "rebind", "recover",
    "show", "update",
)  # fmt: skip
COMMANDS = {
    **{name: name for name in _SAME},
    "clear_policy": "policy clear",
    "explain_policy": "policy explain",
    "forget_identity": "identity forget",
    "heal": "rebind --heal",
    "identities": "identity show",
    "plan_recover": "recover --plan",
    "repair": "audit --repair",
}
"""The command for each method that messages name."""

_LIKE_ITS_FLAG = (
    "allow_filter_loss", "allow_outage", "allow_taint", "any_address", "force", "force_unplug", "forget", "listen", "pf",
    "replace", "restore_emulated", "serve", "state_dir", "twin_of", "unplug", "wait",
)  # fmt: skip
FLAGS = {
    **{name: f"--{name.replace('_', '-')}" for name in _LIKE_ITS_FLAG},
    "changes['link_state']": "--link",
    "changes['source_bridge']": "--bridge",
    "changes['source_network']": "--network",
    "fast": "--to-network or --to-xml",
    "nics": "flags, --nic or --xml",
    "scope=Scope.CONFIG": "--config",
    "scope=Scope.LIVE": "--live",
    "uri": "-c",
}
"""The flag for each parameter that messages name, or for one value of a parameter."""

_ARGUMENTS = {"handover": ("", "--from ", "--to ")}
"""What stands before the arguments of a command, where these are no arguments in a shell."""

_NAMES = "|".join(map(re.escape, sorted(FLAGS, key=len, reverse=True)))
_SPAN = re.compile(
    rf"(?<![\w'\"`])`((?:open\([^`]*\)\.)?(?:{'|'.join(COMMANDS)})\([^`]*\)|(?:{_NAMES})(?:=[^`]*)?)`(?![\w'\"`])"
)
"""A call or a parameter in backticks. Names of users may have backticks, too: `errors.call` escapes those, and messages quote the others."""


def in_commands(text: str) -> str:
    """The message with a command for each call, and a flag for each parameter, that it names in backticks."""
    return _SPAN.sub(_replaced, text) if "`" in text else text


def _replaced(span: re.Match[str]) -> str:
    name, is_value, value = span[1].partition("=")
    try:
        if name in FLAGS or span[1] in FLAGS:
            return FLAGS.get(span[1]) or _flag(name, ast.literal_eval(value) if is_value else True)
        called = ast.parse(span[1], mode="eval").body
        return f"'virtnetplug {_command(called)}'" if isinstance(called, ast.Call) else span[0]
    except (LookupError, SyntaxError, ValueError):
        return span[0]  # a name from outside, and no call


def _command(called: ast.Call) -> str:
    """The command for a call; raises `KeyError` for a method that has none."""
    if isinstance(called.func, ast.Attribute) and isinstance(called.func.value, ast.Call):
        connection = shlex.quote(ast.literal_eval(called.func.value.args[0]))
        return f"-c {connection} {COMMANDS[called.func.attr]}"
    method = called.func.id if isinstance(called.func, ast.Name) else ""
    words = [COMMANDS[method]]
    arguments = [ast.literal_eval(argument) for argument in called.args]
    for argument, before in zip(arguments, _ARGUMENTS.get(method, ("",) * len(arguments)), strict=False):
        if isinstance(argument, dict):
            words += [_flag(f"changes['{field}']", value) for field, value in argument.items()]
        elif argument:
            words.append(before + shlex.quote(argument))
    for option in called.keywords:
        written = f"{option.arg}={ast.unparse(option.value)}"
        words.append(FLAGS.get(written) or _flag(str(option.arg), ast.literal_eval(option.value)))
    return " ".join(words)


def _flag(name: str, value: Any) -> str:
    return FLAGS[name] if value is True else f"{FLAGS[name]} {shlex.quote(str(value))}"
