"""What holds for every test: the driver it runs on, and that none is skipped where nothing may be.

libvirt's embedded QEMU driver makes its process a daemon to libvirt, and such a process cannot connect to libvirtd.
So a run has one driver: the private libvirtd, or with ``--driver=embedded`` the embedded one, and then only what
depends on the driver is run. ``make test`` does both at the same time, and beside them what depends on none (``--part``).
"""

from __future__ import annotations

import faulthandler
import os
import signal
from collections import Counter
from collections.abc import Generator, Iterator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.journals", "tests.real.fixtures"]

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts what runs in its background; programs started here would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

LONGEST = (
    "tests/real/test_daemon_death.py",
    "tests/real/test_ends.py",
    "tests/real/test_migration.py",
    "tests/real/test_host_ends.py",
    "tests/contract/test_steps.py",
    "tests/real/test_rebind.py",
    "tests/real/test_bad_input.py",
    "tests/contract/test_rebind_pf.py",
    "tests/contract/test_hostdev.py",
    "tests/unit/mutants/test_run.py",
)
"""Files of tests that take long. They begin first, so that no worker is left with one of them at the end."""

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


MERCY = 30.0
"""Seconds that a test has, once its time is over, to end by the exception that pytest-timeout raises in it."""

_output = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--driver", choices=("daemon", "embedded"), default="daemon", help="libvirt's QEMU driver to use")
    parser.addoption(
        "--part", choices=("all", "driver", "rest"), default="all", help="what depends on the driver, or the rest"
    )
    parser.addoption(
        "--full",
        action="store_true",
        help="break real QEMU at every call, not once for each change; run every order of processes",
    )
    parser.addoption("--brief", action="store_true", help="of tests with many cases of a kind (mark `many`) run a few")
    parser.addoption("--seed", type=int, default=1, help="what the random parts of tests begin with")
    parser.addoption(
        "--order", help="what a failed test of several processes showed after `replay:`: run this order alone"
    )
    parser.addoption("--no-skip", action="store_true", help="a test that is skipped has failed")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_output] = os.dup(2)  # a test's own output is captured
    config.addinivalue_line("markers", "real: depends on the driver, although it does not name the fixture `uri`")
    config.addinivalue_line("markers", "long: of a lab, run by make lab-full alone")
    config.addinivalue_line("markers", "many(stride): has many cases of a kind; with --brief one of so many is run")
    config.addinivalue_line("markers", "driver(name): runs on this driver only, `daemon` or `embedded`")


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """End the process of a test that hangs where no exception reaches it: in a function of C, or in its own cleaning up.

    The stacks of all threads are shown, the test has failed, and pytest-xdist starts another worker.
    """
    given = item.config.getoption("timeout")
    limit = float(item.config.getini("timeout")) if given is None else given
    if not limit:  # --timeout=0, for who debugs
        return (yield)
    faulthandler.dump_traceback_later(limit + MERCY, exit=True, file=item.config.stash[_output])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    driver, part = config.getoption("--driver"), config.getoption("--part")
    wanted = [
        item for item in items if _belongs(item, driver) and part in ("all", "driver" if _depends(item) else "rest")
    ]
    if config.getoption("--brief"):
        wanted = list(_few(wanted))
    if len(wanted) < len(items):
        kept = set(wanted)
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = wanted
    items.sort(key=_rank)


def _few(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """All items but, of those with many cases, one of each stride."""
    seen: Counter[str] = Counter()
    for item in items:
        marker, name = item.get_closest_marker("many"), item.nodeid.partition("[")[0]
        if marker is None or seen[name] % marker.args[0] == 0:
            yield item
        seen[name] += 1


def _rank(item: pytest.Item) -> int:
    name = item.nodeid.partition("::")[0]
    return LONGEST.index(name) if name in LONGEST else len(LONGEST)


def _belongs(item: pytest.Item, driver: str) -> bool:
    if marker := item.get_closest_marker("driver"):
        if marker.args not in (("daemon",), ("embedded",)):
            raise pytest.UsageError(f"{item.nodeid}: driver{marker.args} is no driver's name: daemon or embedded")
        return bool(marker.args[0] == driver)
    return driver == "daemon" or _depends(item)


def _depends(item: pytest.Item) -> bool:
    """Whether it is another test on another driver."""
    markers = item.get_closest_marker("driver"), item.get_closest_marker("real")
    names = getattr(item, "fixturenames", ())
    return "uri" in names or "real" in names or any(marker is not None for marker in markers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return report if hasattr(report, "wasxfail") else _without_skip(report, item.config)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _without_skip(report, collector.config)


def _without_skip(report: Report, config: pytest.Config) -> Report:
    if config.getoption("--no-skip") and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report
