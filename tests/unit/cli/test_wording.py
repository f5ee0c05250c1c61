"""Messages name calls and parameters; the command line puts its own commands and flags there."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.prose_rules import texts_of_python
from tests.unit.test_documents import parse
from virtnetplug.cli import render
from virtnetplug.cli.wording import COMMANDS, FLAGS, in_commands
from virtnetplug.errors import Refused, call
from virtnetplug.hotplug.plugger import Plugger
from virtnetplug.model.operation import Scope

PACKAGE = Path(__file__).parents[3] / "virtnetplug"
CORE = sorted(path for path in PACKAGE.rglob("*.py") if "cli" not in path.parts)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (call("recover"), "'virtnetplug recover'"),
        (call("recover", "web1", wait=60), "'virtnetplug recover web1 --wait 60'"),
        (call("recover", "web1", forget="ab12", any_address=True), "'virtnetplug recover web1 --forget ab12 --any-address'"),
        (call("repair"), "'virtnetplug audit --repair'"),
        (call("heal"), "'virtnetplug rebind --heal'"),
        (call("plan_recover"), "'virtnetplug recover --plan'"),
        (call("forget_identity", "web1", "ua-e"), "'virtnetplug identity forget web1 ua-e'"),
        (call("update", scope=Scope.CONFIG), "'virtnetplug update --config'"),
        (call("update", "web1", "ua-x", {"link_state": "up"}), "'virtnetplug update web1 ua-x --link up'"),
        (call("rebind", "web1", "ua-x", {"source_bridge": "br 0"}), "'virtnetplug rebind web1 ua-x --bridge 'br 0''"),
        (
            call("handover", "web1", "ua-e", "ua-p", allow_filter_loss=True),
            "'virtnetplug handover web1 --from ua-e --to ua-p --allow-filter-loss'",
        ),
        ("`open('qemu:///system').list()`", "'virtnetplug -c qemu:///system list'"),
        ("Use `scope=Scope.LIVE`, or `replace=True`.", "Use --live, or --replace."),
        ("`unplug='present'` or `unplug`", "--unplug present or --unplug"),
        ("a longer `wait` waits longer", "a longer --wait waits longer"),
        ("domain a`b: " + call("identities", "a`b") + " lists them", "domain a`b: 'virtnetplug identity show 'a`b'' lists them"),
    ],
)  # fmt: skip
def test_calls_and_parameters_become_commands_and_flags(message: str, words: str) -> None:
    assert in_commands(message) == words


@pytest.mark.parametrize(
    "text",
    [
        "`nothing of ours`", "`sum(1)`", "`recover(`", "`recover(other)`", "`recover(colour=True)`", "`wait=`", "`os.x()()`", "`1`", "``",
        "no NIC '`force`'", "'x`wait`y'",
    ],
)  # fmt: skip
def test_what_the_core_did_not_write_stays_as_it_is(text: str) -> None:
    assert in_commands(text) == text


@pytest.mark.parametrize("name", ["web 1", "it's", 'a"b', "a`b", "x\\y", "$(id)"])
def test_any_name_of_a_domain_comes_through_a_shell_as_it_is(name: str) -> None:
    command = in_commands(call("recover", name))
    assert shlex.split(command[1:-1]) == ["virtnetplug", "recover", name]


def _argument(node: ast.expr) -> str:
    changes = node.keys if isinstance(node, ast.Dict) else []
    return str({ast.literal_eval(key): "X" for key in changes if key}) if changes else "'X'"


def _option(node: ast.keyword) -> str:
    value = ast.unparse(node.value)
    return f"{node.arg}={value if re.fullmatch(r'True|[0-9]+|Scope[.][A-Z]+', value) else repr('X')}"


def calls() -> Iterator[str]:
    """Every call that a message of the core names, with placeholders for what is known only when it runs."""
    for path in CORE:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            match node:
                case ast.Call(ast.Name("call"), [ast.Constant(str() as method), *rest], options) if all(
                    each.arg for each in options
                ):
                    yield f"`{method}({', '.join([*map(_argument, rest), *map(_option, options)])})`"
                case ast.Call(ast.Name("recover_command"), _, options):
                    yield f"`recover({', '.join(map(_option, options))})`"
        for text in texts_of_python(path.read_text()):
            if text.kind in ("message", "fragment"):
                spans = re.findall(r"`\w[^`]*`", text.text)
                yield from (re.sub(r"\{\w+!r\}|(?<=\()X(?=\))", "'X'", span) for span in spans)


def test_messages_name_what_both_the_library_and_the_command_line_have() -> None:
    found = set(calls())
    assert len(found) > 40
    for span in sorted(found):
        words = in_commands(span)
        assert words != span, f"{span} is in no table of the command line"
        if words.startswith("'virtnetplug"):
            parse(words[1:-1], is_whole=False)


def test_methods_and_parameters_are_those_of_the_plugger() -> None:
    assert [name for name in COMMANDS if not hasattr(Plugger, name)] == ["doctor"], "this is a function of `app`"
    every = {
        name
        for _, method in inspect.getmembers(Plugger, inspect.isfunction)
        for name in inspect.signature(method).parameters
    }
    named = {re.split(r"[=\[]", name)[0] for name in FLAGS}
    assert named - every == {"state_dir", "uri", "listen"}, "these are of `open` and of the metrics server"


def test_people_and_json_read_the_command_lines_own_words(run: Callable[..., Any], plugger: Any) -> None:
    plugger.raises = Refused(f"It waits. {call('recover', 'web1', wait=60)} settles it; or use `scope=Scope.CONFIG`.")
    words = "It waits. 'virtnetplug recover web1 --wait 60' settles it; or use --config."
    assert run("detach", "web1", "x").err == f"virtnetplug: {words} [refused]\n"
    assert run("detach", "web1", "x", "--json").document["message"] == words
    plugger.raises, plugger.warnings = None, (f"{call('repair')} mends it",)
    assert "virtnetplug: warning: 'virtnetplug audit --repair' mends it\n" in run("detach", "web1", "x").err
    assert run("detach", "web1", "x", "--json").document["warnings"] == ["'virtnetplug audit --repair' mends it"]


def test_a_name_in_a_document_stays_as_it_is() -> None:
    assert '"domain": "`wait`"' in render.dump({"domain": "`wait`", "message": "`wait`"})
