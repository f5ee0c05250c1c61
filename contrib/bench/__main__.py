"""Runs the figures one after the other and prints the table, which names the figures that are missed; that is no error."""

from __future__ import annotations

import argparse
import gc
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import audits
import commands
import growth
import hostdev
import outages
import parallel
import peer
import rebinds
import single
import starts
from stage import Stage
from table import Row, as_json, as_text

from tests.real import namespace

FIGURES: dict[str, Callable[[Stage], Iterator[Row]]] = {
    "nova": peer.measure,  # first: its process has the place to itself
    "single": single.measure,
    "parallel": parallel.measure,
    "commands": commands.measure,
    "audit": audits.measure,
    "growth": growth.measure,
    "start": starts.measure,
    "rebind": rebinds.measure,
    "hostdev": hostdev.measure,
    "outage": outages.measure,
}
IN_LAB = ("hostdev", "outage")
"""The figures that are measured inside the SR-IOV lab, and nowhere else. The lab measures no others."""


def main() -> None:
    options = _options()
    rows: list[Row] = []
    with ExitStack() as cleanup:
        stage = Stage(cleanup, is_quick=options.quick)
        for name in options.only:
            gc.collect()
            for row in FIGURES[name](stage):
                rows.append(row)
                print(f"measured: {row.what}", file=sys.stderr, flush=True)
        conditions = stage.conditions()
    if options.json:
        print(json.dumps(as_json(rows, conditions), indent=2))
    else:
        print(as_text(rows, conditions))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="contrib/bench/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the rounds, for a first look")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    here = [name for name in FIGURES if (name in IN_LAB) == namespace.IN_LAB and (name != "nova" or peer.is_there())]
    parser.add_argument(
        "--only", type=_names, default=here, help=f"some figures, by commas, of those to be had here: {', '.join(here)}"
    )
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(FIGURES):
        raise argparse.ArgumentTypeError(f"no such figure: {', '.join(sorted(unknown))}")
    return [name for name in FIGURES if name in names]


main()
