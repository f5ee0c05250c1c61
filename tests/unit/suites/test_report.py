"""What pytest's output says, on a terminal, spread over workers, and out of a lab."""

from __future__ import annotations

import pytest

from tests.suites.report import Report, details, length, reasons

SPREAD = """\
bringing up nodes...
[gw0] [ 33%] PASSED tests/a.py::one
[gw1] [ 66%] FAILED tests/a.py::two[-list -v-0]
[gw0] [100%] PASSED tests/b.py::three
=================================== FAILURES ===================================
assert 1 == 2
=========================== short test summary info ============================
FAILED tests/a.py::two[-list -v-0] - AssertionError: no - really
ERROR tests/b.py::four
SKIPPED [1] tests/c.py:1: needs root
=== 1 failed, 2 passed, 1 skipped, 3 deselected, 1 error in 335.37s (0:05:35) ===
"""


def report(text: str) -> Report:
    fed = Report()
    for line in text.splitlines(keepends=True):
        fed.feed(line)
    return fed


@pytest.mark.parametrize("before", ["", "[   12.3] ", "[ 1234.5] "], ids=["here", "lab", "lab for long"])
def test_counts_and_names_of_what_failed(before: str) -> None:
    fed = report("".join(before + line for line in SPREAD.splitlines(keepends=True)))
    assert fed.has_ended
    assert (fed.passed, fed.skipped, fed.total, fed.percent) == (2, 1, 4, 100)
    assert fed.failed == ["tests/a.py::two[-list -v-0]", "tests/b.py::four"]


def test_which_tests_are_under_way() -> None:
    fed = report("tests/a.py::one \ntests/a.py::two[a b] \n[gw0] [ 33%] PASSED tests/a.py::one \n")
    assert fed.under_way == ["tests/a.py::two[a b]"]
    fed.feed("[gw1] [ 66%] FAILED tests/a.py::two[a b] \n")
    assert fed.under_way == []


@pytest.mark.parametrize(
    ("line", "passed"), [("3 passed in 0.12s", 3), ("===== 37 passed, 2 warnings in 39.48s =====", 37)]
)
def test_a_short_end(line: str, passed: int) -> None:
    assert (report(line).has_ended, report(line).passed) == (True, passed)


@pytest.mark.parametrize(
    "line",
    [
        "3 passed, 2 subtests passed in 0.12s",
        "\x1b[32m== \x1b[32m\x1b[1m3 passed\x1b[0m\x1b[32m in 0.12s\x1b[0m\x1b[32m ==\x1b[0m",
    ],
)
def test_subtests_and_colours(line: str) -> None:
    assert (report(line).has_ended, report(line).total) == (True, 3)


def test_words_of_a_test_are_no_names() -> None:
    fed = report("FAILED to open the socket\nERROR    root:test_zz.py:6 boom in the daemon\n1 passed in 0.1s\n")
    assert (fed.failed, fed.passed) == ([], 1)
    heading = "== short test summary info ==\n"
    fed = report(f"{heading}FAILED to open\n{heading}FAILED tests/a.py::one\n1 failed in 0.1s\n")
    assert fed.failed == ["tests/a.py::one"]


@pytest.mark.parametrize(
    "text", ["", "[gw0] [ 33%] PASSED tests/a.py::one\n", "worker 'gw0' crashed\n", "no tests ran in 0.01s"]
)
def test_output_that_was_cut_off_is_no_end(text: str) -> None:
    assert not report(text).has_ended


def test_details_begin_with_the_first_failure() -> None:
    lines = SPREAD.splitlines(keepends=True)
    shown = details(lines, 3)
    assert len(shown) == 3 and "FAILURES" in shown[0]
    assert details(["a\n", "b\n"], 9) == ["a\n", "b\n"]


@pytest.mark.parametrize("before", ["", "[   12.3] "], ids=["here", "lab"])
def test_why_each_test_failed(before: str) -> None:
    text = """\
E  no failure: this is not below a heading
==== FAILURES ====
____ test_one[yes] ____
>       lend(vf)
E       libvirt.libvirtError: in use
the above exception was the direct cause
E       virtnetplug.errors.Refused: 0000:02:10.0 is in use
E       again
____ ERROR at setup of test_two ____
E   FileExistsError: small1
"""
    lines = [f"{before}{line}" for line in text.splitlines(keepends=True)]
    assert reasons(lines) == [
        "test_one[yes]: virtnetplug.errors.Refused: 0000:02:10.0 is in use",
        "ERROR at setup of test_two: FileExistsError: small1",
    ]


@pytest.mark.parametrize(("seconds", "words"), [(5, "5 s"), (59.6, "1 min 0 s"), (372, "6 min 12 s")])
def test_lengths_of_time(seconds: float, words: str) -> None:
    assert length(seconds) == words
