"""The documents say what is so: commands that parse, links that lead somewhere, every reason, every method."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import virtnetplug
from virtnetplug import app, errors
from virtnetplug.cli.commands import COMMANDS, HIDDEN, root
from virtnetplug.cli.session import Session

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
API = (ROOT / "docs" / "api.md").read_text()
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)


def prose(text: str) -> str:
    """The document without its blocks of code."""
    return FENCE.sub("", text)


def commands_of(text: str) -> Iterator[tuple[str, bool]]:
    """Every ``virtnetplug …`` in blocks and in spans; those in spans may leave arguments out."""
    for language, block in FENCE.findall(text):
        for line in block.splitlines() if language in ("sh", "console") else ():
            if found := re.search(r"(?:^|[(]|^[#$] )(virtnetplug .*)", line):
                yield re.split(r"\s[|#>]|[)]", found[1])[0], True
    for span in SPAN.findall(prose(text)):
        if re.match(r"(\.venv/bin/)?virtnetplug (?!COMMAND)", span):
            yield span, False


def parse(line: str, *, is_whole: bool) -> None:
    """Parse it as the program does, without running it."""
    words = [word for word in shlex.split(line)[1:] if word != "…"]
    command: click.Command = root()
    parent = None
    name = "virtnetplug"
    while True:
        try:
            parent = command.make_context(name, words, parent=parent, obj=Session(None))  # type: ignore[arg-type]
        except (click.MissingParameter, click.BadOptionUsage):
            assert not is_whole, line
            return
        except click.exceptions.Exit:  # --version and --help, which are all there is to run
            return
        if not isinstance(command, click.Group):
            return
        rest = [*parent._protected_args, *parent.args]
        found, below, words = command.resolve_command(parent, rest)
        assert found is not None and below is not None, line
        command, name = below, found


def test_documents_are_there() -> None:
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert names >= {
        *("README.md", "CONTRIBUTING.md", "CHANGELOG.md"),
        *("docs/api.md", "docs/cli.md", "docs/decisions.md", "docs/design.md", "docs/lifecycle.md"),
    }


@each_document
def test_every_command_line_parses(path: Path) -> None:
    for line, is_whole in commands_of(path.read_text()):
        try:
            parse(line, is_whole=is_whole)
        except click.ClickException as error:
            pytest.fail(f"{path.name}: `{line}`: {error.format_message()}", pytrace=False)


def test_command_lines_are_found_and_bad_ones_seen() -> None:
    text = "```sh\nvirtnetplug list   # all\nsource <(virtnetplug completion bash)\n```\nSay `virtnetplug detach`."
    assert list(commands_of(text)) == [
        ("virtnetplug list  ", True),
        ("virtnetplug completion bash", True),
        ("virtnetplug detach", False),
    ]
    for line in ("virtnetplug lits", "virtnetplug list --jsno", "virtnetplug plan attach web1 --nic a=b --netwrok x"):
        with pytest.raises(click.UsageError):
            parse(line, is_whole=True)
    for line in ("virtnetplug detach", "virtnetplug recover --wait"):
        with pytest.raises(AssertionError):
            parse(line, is_whole=True)
        parse(line, is_whole=False)
    assert sum(len(list(commands_of(path.read_text()))) for path in DOCUMENTS) > 20


@each_document
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path.read_text())):
        if "://" in target:
            continue
        place, _, anchor = target.partition("#")
        file = path.parent / place if place else path
        assert file.exists(), f"{path.name} links to {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", prose(file.read_text()), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{path.name} links to {target}"


@each_document
def test_every_file_and_target_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for span in [
        *SPAN.findall(prose(text)),
        *(line for _, block in FENCE.findall(text) for line in block.splitlines()),
    ]:
        if found := re.match(r"make ([a-z-]+)", span):
            assert found[1] in targets, f"{path.name}: `{span}`"
        elif re.fullmatch(r"[\w./-]+/[\w.-]+\.(py|sh|xml|rng|S)", span):
            assert (ROOT / span).exists() or (ROOT / "virtnetplug" / span).exists(), f"{path.name}: `{span}`"


@each_document
def test_no_document_names_a_place_of_one_machine(path: Path) -> None:
    assert re.findall(r"(?<![\w.])/(?:home|root|work|Users|mnt|opt|srv|var/tmp|tmp)/\S+", path.read_text()) == []


@each_document
def test_python_is_python(path: Path) -> None:
    for language, block in FENCE.findall(path.read_text()):
        if language == "python":
            ast.parse(block)


def reasons_in_code() -> set[str]:
    """Every word that is given as a `reason`: of a class, by keyword, in a variable, or as an argument called so."""
    found = set()
    for path in (ROOT / "virtnetplug").rglob("*.py"):
        tree = ast.parse(path.read_text())
        places = {
            node.name: [arg.arg for arg in node.args.args].index("reason")
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef) and "reason" in [arg.arg for arg in node.args.args]
        }
        for node in ast.walk(tree):
            for value in _given(node, places):
                found |= {part.value for part in _ends(value) if isinstance(part, ast.Constant) and part.value}
    return {str(reason) for reason in found}


def _given(node: ast.AST, places: dict[str, int]) -> Iterator[ast.expr]:
    if isinstance(node, ast.Assign) and any("reason" in (_name(target)) for target in node.targets):
        yield node.value
    if isinstance(node, ast.keyword) and node.arg == "reason":
        yield node.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        yield from node.args[places.get(node.func.id, len(node.args)) :][:1]


def _name(target: ast.expr) -> tuple[str, ...]:
    return (target.id,) if isinstance(target, ast.Name) else (target.attr,) if isinstance(target, ast.Attribute) else ()


def _ends(value: ast.expr) -> Iterator[ast.expr]:
    if isinstance(value, ast.IfExp):
        yield from (*_ends(value.body), *_ends(value.orelse))
    elif isinstance(value, ast.BoolOp):
        for part in value.values:
            yield from _ends(part)
    else:
        yield value


def test_every_reason_is_in_the_table_and_the_other_way_round() -> None:
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", API[API.index("## Errors") :], re.MULTILINE))
    known = reasons_in_code()
    assert known - documented == set(), "give each a row in docs/api.md"
    assert documented - known == set(), "no code has these reasons"


def test_every_error_class_is_in_the_section_of_its_exit_code() -> None:
    sections = dict(re.findall(r"^### (\d+): .*?\n(.*?)(?=^##)", API, re.MULTILINE | re.DOTALL))
    for error in vars(errors).values():
        if isinstance(error, type) and issubclass(error, errors.VirtnetplugError):
            section = sections.get(str(error.exit_code), API[API.index("### The rest") :])
            assert f"| `{error.reason}` | `{error.__name__}` |" in section


def test_every_method_and_command_is_named() -> None:
    methods = [name for name in vars(virtnetplug.Plugger) if not name.startswith("_") and name not in ("close", "uri")]
    assert [name for name in methods if f"`{name}`" not in API] == []
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(app.open).parameters.values()
    ]
    assert f"`virtnetplug.open{inspect.Signature(bare)}`".replace("'", '"') in API
    cli = (ROOT / "docs" / "cli.md").read_text()
    assert [name for name in {**COMMANDS, **HIDDEN} if f"{name}" not in cli] == []
