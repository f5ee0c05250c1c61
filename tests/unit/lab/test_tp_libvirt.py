"""The table of tp-libvirt's cases names tests that are there, and a reason where there is none."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.lab.tp_libvirt import CASES, DIRECTORIES, Case

TESTS = Path(__file__).parents[2]


@cache
def functions(file: str) -> frozenset[str]:
    return frozenset(
        node.name for node in ast.parse((TESTS / file).read_text()).body if isinstance(node, ast.FunctionDef)
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} {case.variants}")
def test_each_case_is_shown_or_has_a_reason(case: Case) -> None:
    assert bool(case.shown_by) != bool(case.why_not)
    for test in case.shown_by:
        file, _, function = test.partition("::")
        assert function in functions(file), f"{file} has no {function}"


def test_every_directory_is_there() -> None:
    names = {case.name for case in CASES}
    for directory in DIRECTORIES:
        assert any(f".{directory}" in name for name in names), directory
    assert len({(case.name, case.variants) for case in CASES}) == len(CASES)
