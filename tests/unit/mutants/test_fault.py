"""The table of faults, and what becomes of a file's text."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.fault import Fault, NotApplicable, load

TEXT = """\
def half(number: int) -> int:
    if number < 0 or \\
            number > 9:
        raise ValueError(
            number,
        )
    return number // 2
"""


def fault(old: str, new: str) -> Fault:
    return Fault(name="a fault", file="virtnetplug/half.py", old=old, new=new)


def test_the_text_with_the_fault() -> None:
    assert fault("number // 2", "number // 3").mutate(TEXT) == TEXT.replace("// 2", "// 3")


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("number // 4", "number // 3", "0 times and not once"),
        ("number", "numbers", "times and not once"),
        ("number // 2", "number // (", "is no Python with it, line 7"),
        ("number // 2", "number  //  2", "means the same with it"),
    ],
)
def test_a_fault_that_does_not_apply(old: str, new: str, why: str) -> None:
    with pytest.raises(NotApplicable, match=why):
        fault(old, new).mutate(TEXT)


@pytest.mark.parametrize(
    ("old", "lines"), [("// 2", {7}), ("number > 9", {2, 3}), ("            number,\n", {4, 5, 6}), ("def half", {0})]
)
def test_the_lines_that_reach_it_are_those_of_its_statement(old: str, lines: set[int]) -> None:
    assert fault(old, "").lines(TEXT) == lines


def test_the_module_is_the_one_that_is_imported() -> None:
    assert fault("", "").module == "virtnetplug.half"
    assert Fault(name="", file="virtnetplug/xml/__init__.py", old="", new="").module == "virtnetplug.xml"


def test_two_faults_of_one_name(tmp_path: Path) -> None:
    one = '[[fault]]\nname = "twice"\nfile = "f"\nold = "a"\nnew = "b"\n'
    (tmp_path / "faults.toml").write_text(one * 2)
    with pytest.raises(ValueError, match="twice"):
        load(tmp_path / "faults.toml")


def test_every_fault_of_the_table_applies_to_the_package_as_it_is() -> None:
    root = Path(__file__).parents[3]
    faults = load(root / "tests/mutants/faults.toml")
    wrong = []
    for each in faults:
        try:
            each.mutate((root / each.file).read_text())
        except NotApplicable as error:
            wrong.append(f"{each.name}: {error}")
    assert wrong == [] and len(faults) >= 45
