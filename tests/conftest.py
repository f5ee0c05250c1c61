"""What holds for every test: the driver it runs on, and that none is skipped where nothing may be.

libvirt's embedded QEMU driver makes its process a daemon to libvirt, and such a process cannot connect to libvirtd.
So a run has one driver: the private libvirtd, or with ``--driver=embedded`` the embedded one, and then only what
depends on the driver is run. ``make test`` does both at the same time, and beside the shorter one what depends on none (``--part``).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.real.fixtures"]

settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # As a shell starts what runs in its background; programs started here would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

NO_SKIP = bool(os.environ.get("VIRTNETPLUG_NO_SKIP"))
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--driver", choices=("daemon", "embedded"), default="daemon", help="libvirt's QEMU driver to use")
    parser.addoption(
        "--part", choices=("all", "driver", "rest"), default="all", help="what depends on the driver, or the rest"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "real: depends on the driver, although it does not name the fixture `uri`")
    config.addinivalue_line("markers", "long: of a lab, run by make lab-full alone")
    config.addinivalue_line("markers", "driver(name): runs on this driver only, `daemon` or `embedded`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    driver, part = config.getoption("--driver"), config.getoption("--part")
    wanted = [
        item for item in items if _belongs(item, driver) and part in ("all", "driver" if _depends(item) else "rest")
    ]
    if len(wanted) < len(items):
        config.hook.pytest_deselected(items=[item for item in items if item not in set(wanted)])
        items[:] = wanted


def _belongs(item: pytest.Item, driver: str) -> bool:
    if marker := item.get_closest_marker("driver"):
        return bool(marker.args[0] == driver)
    return driver == "daemon" or _depends(item)


def _depends(item: pytest.Item) -> bool:
    """Whether it is another test on another driver."""
    markers = item.get_closest_marker("driver"), item.get_closest_marker("real")
    return "uri" in getattr(item, "fixturenames", ()) or any(marker is not None for marker in markers)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return report if hasattr(report, "wasxfail") else _without_skip(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _without_skip(report)


def _without_skip(report: Report) -> Report:
    if NO_SKIP and report.outcome == "skipped":
        report.outcome = "failed"
        report.longrepr = f"skipped, where nothing may be: {report.longrepr}"
    return report
