"""The prose of the project keeps the rules of `prose_rules`; what does not yet is counted in `prose_debt.txt`.

``python tests/unit/prose_rules.py --count *.md docs/*.md $(git ls-files 'virtnetplug/*.py')`` prints the counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.prose_rules import Text, broken, texts_of_document, texts_of_python, violations_in

ROOT = Path(__file__).parents[2]
DEBT = Path(__file__).with_name("prose_debt.txt")
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
FILES = sorted([*(ROOT / "virtnetplug").rglob("*.py"), *DOCUMENTS])


def debts() -> dict[str, int]:
    """How many violations each file may still have; a file that is not named may have none."""
    lines = DEBT.read_text().splitlines() if DEBT.exists() else []
    return {name: int(count) for name, count in (line.rsplit(" ", 1) for line in lines)}


def found() -> Iterator[tuple[str, list[str]]]:
    for path in FILES:
        name = str(path.relative_to(ROOT))
        is_core = name.startswith("virtnetplug/") and "/cli/" not in name
        if violations := violations_in(path, is_core=is_core):
            yield name, [f"{name}:{each.line}: {each.rule}: {each.text}" for each in violations]


def test_prose_keeps_the_rules() -> None:
    """The counts only shrink: a file with fewer violations than its line says fails, too."""
    allowed = debts()
    there = dict(found())
    more = [line for name, lines in there.items() if len(lines) > allowed.get(name, 0) for line in lines]
    fewer = [
        f"{name} {len(there.get(name, []))}" for name, count in allowed.items() if len(there.get(name, [])) < count
    ]
    assert not more, "\n" + "\n".join(more)
    assert not fewer, f"write these counts into {DEBT.name}, and remove each line whose count is 0: {fewer}"


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("Of all vifs.", "no subject"),
        ("With them.", "no subject"),
        ("Each driver. Of a vif, the state.", "no subject"),
        ("That of the operation.", "no subject"),
        ("It did.", "no noun"),
        ("One of a guest.", "no noun"),
        ("The link is to be so.", "'is to be so'"),
        ("ua-x: it is so already.", "'it is so already'"),
        ("The kernel told this.", "'told'"),
        ("libvirt said success.", "'said'"),
        ("The undo puts the NIC back.", "'… back (restore, release, re-attach, return)'"),
        ("The NIC is taken back.", "'… back (restore, release, re-attach, return)'"),
        ("Use --config instead.", "flag in the core"),
        ("Run 'virtnetplug audit --repair'.", "flag in the core"),
        (" ".join(["word"] * 26) + ".", "26 words"),
    ],
)
def test_a_rule_finds_what_it_is_for(text: str, rule: str) -> None:
    assert [each for each, _ in broken(Text(1, "docstring", text), is_core=True)] == [rule]


@pytest.mark.parametrize(
    "text",
    [
        "Return the NIC.",
        "True if the guest has the NIC.",
        "The state of a NIC; None while it is not known.",
        "'virsh net-list --all' shows the networks.",
        "One net of a guest.",
        " ".join(["word"] * 24) + " `a span of code that counts as a word`.",
    ],
)
def test_good_prose_breaks_no_rule(text: str) -> None:
    assert not list(broken(Text(1, "docstring", text), is_core=True))


def test_docstrings_comments_and_messages_are_read() -> None:
    source = '''
def f(x):
    """What a caller may
    rely on."""
    y = 1  # why the number is so
    # A comment that goes on
    # over two lines.
    raise ValueError(f"the value {x} of this " + ("one that is bad" if x else "is not good") + " was refused")
'''
    assert [(each.line, each.kind, " ".join(each.text.split())) for each in texts_of_python(source)] == [
        (3, "docstring", "What a caller may rely on."),
        (5, "comment", "why the number is so"),
        (6, "comment", "A comment that goes on over two lines."),
        (8, "message", "the value X of this X was refused"),
        (8, "fragment", "one that is bad"),
    ]


def test_a_document_is_read_without_its_code() -> None:
    source = """# Heading

A sentence that
goes on.

```sh
code
```

- An item.

| cell | `a|b` is code |
"""
    assert [(each.line, each.text) for each in texts_of_document(source)] == [
        (3, "A sentence that\ngoes on."),
        (10, "- An item."),
        (12, "cell"),
        (12, "`a|b` is code"),
    ]
