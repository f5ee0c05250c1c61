"""Journals that an older virtnetplug left open, each with the world that it left: read from ``tests/golden/journals``.

``write_v3.py`` there wrote them, and says what the files hold.
"""

from __future__ import annotations

import functools
import itertools
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree

from tests.fakes.host_devices import FakeHostDevices
from tests.fakes.hypervisor import FakeDomain, FakeHypervisor
from tests.fakes.xen import FakeXen, Seat
from virtnetplug.lifecycle import State
from virtnetplug.model.host_device import NetdevState, PciDevice, VfSettings
from virtnetplug.model.mac import Mac
from virtnetplug.model.network import Network, NetworkPort
from virtnetplug.model.pci import PciAddress
from virtnetplug.ports.xen import Vif

JOURNALS = Path(__file__).parents[1] / "golden" / "journals" / "v3"


@dataclass(frozen=True)
class Golden:
    """The cases of one operation. `rows` and `facts` each come with the numbers of the cases that have them."""

    cases: tuple[str, ...]
    rows: tuple[tuple[str, frozenset[int]], ...]
    facts: tuple[tuple[str, Any, frozenset[int]], ...]

    def journal(self, case: str) -> list[str]:
        """The statements that fill the journal of that case."""
        number = self.cases.index(case)
        return [row for row, numbers in self.rows if number in numbers]

    def world(self, case: str) -> dict[str, Any]:
        """What the fakes had in that case."""
        number = self.cases.index(case)
        return {fact: is_so for fact, is_so, numbers in self.facts if number in numbers}


def names() -> list[str]:
    """The operations, and ``holdings``."""
    return sorted(path.stem for path in JOURNALS.glob("*.jsonl"))


@functools.cache
def cases(name: str) -> tuple[str, ...]:
    """The names of the cases, in the order of their numbers."""
    heads = itertools.takewhile(lambda line: line.startswith("-- "), _lines(f"{name}.sql"))
    return tuple(line.split(maxsplit=2)[2] for line in heads)


@functools.cache
def golden(name: str) -> Golden:
    """The cases of that operation, read whole."""
    rows = (line.rpartition(" -- ") for line in _lines(f"{name}.sql") if line.startswith("INSERT"))
    facts = map(json.loads, _lines(f"{name}.jsonl"))
    return Golden(
        cases=cases(name),
        rows=tuple((row, _numbers(text)) for row, _, text in rows),
        facts=tuple((fact["fact"], fact["is"], _numbers(fact["in"])) for fact in facts),
    )


def operations(name: str, case: str) -> frozenset[str]:
    """The ids of the operations in the journal of that case."""
    return frozenset(values["id"] for values in _values("operations", golden(name).journal(case)))


def rows(name: str, table: str) -> list[dict[str, Any]]:
    """Every row of that table in the journal of any case, by column."""
    return _values(table, [row for row, _ in golden(name).rows])


def _values(table: str, statements: Iterable[str]) -> list[dict[str, Any]]:
    start = f'INSERT INTO "{table}" '
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(_empty_journal())
        columns = [column[1] for column in database.execute(f"PRAGMA table_info({table})")]
        values = [
            database.execute(text.removeprefix(start)).fetchone() for text in statements if text.startswith(start)
        ]
    return [dict(zip(columns, each, strict=True)) for each in values]


def write_journal(name: str, case: str, directory: Path) -> None:
    """Make the journal of that case in `directory`, as its writer left it there."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.deserialize(_empty_journal())
        database.executescript("\n".join(["BEGIN;", *golden(name).journal(case), "COMMIT;"]))
        directory.mkdir(mode=0o700)
        directory.joinpath("journal.db").write_bytes(database.serialize())


@functools.cache
def _empty_journal() -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(JOURNALS.joinpath("schema.sql").read_text())
        return database.serialize()


def fill(hypervisor: FakeHypervisor, facts: dict[str, Any], xen: FakeXen | None = None) -> None:
    """Make the fakes as the facts say."""
    hypervisor.clock._start = facts["clock"] + 60
    of = functools.partial(_of, facts)
    hypervisor.bridges = {name: set(taps) for name, taps in facts["bridges"].items()}
    hypervisor.taps = dict(facts["taps"])
    hypervisor.isolated = set(facts["isolated"])
    hypervisor.only_macs = dict(facts["only_macs"])
    hypervisor.nets = {name: _network(value) for name, value in of("network").items()}
    hypervisor.net_ports = {name: _port(value) for name, value in of("port").items()}
    assigned = {PciAddress.parse(name): value for name, value in of("assigned").items()}
    hypervisor._before = {address: value["before"] for address, value in assigned.items()}
    hypervisor._allocated = {address: value["port"] for address, value in assigned.items() if value["port"]}
    hypervisor.ids, hypervisor._taps, hypervisor._ports = (_from(facts, name) for name in ("id", "tap", "port"))
    _fill_devices(hypervisor.devices, facts)
    for name, value in of("domain").items():
        domain = hypervisor.all.get(name) or hypervisor.add(name)
        _fill_domain(domain, value, facts[f"live {name}"], facts[f"config {name}"])
    if xen is not None:
        _fill_xen(xen, facts)


def _fill_domain(domain: FakeDomain, value: dict[str, Any], live: str | None, config: str | None) -> None:
    domain._uuid, domain._id, domain.holds = value["uuid"], value["id"], value["holds"]
    domain._leaving = list(value["leaving"])
    domain._process_began = 0.0  # before any record
    domain._live, domain._config = (None if text is None else etree.fromstring(text) for text in (live, config))


def _fill_devices(devices: FakeHostDevices, facts: dict[str, Any]) -> None:
    def of(kind: str, make: Callable[[Any], Any]) -> dict[PciAddress, Any]:
        return {PciAddress.parse(name): make(value) for name, value in _of(facts, kind).items()}

    devices.found = of("device", _device)
    devices.set = of("settings", lambda value: VfSettings(**value))
    devices.netdevs = of("netdev", _netdev)
    devices.held = of("held", set)
    devices.unsettable = set(facts["unsettable"])
    devices._names, devices._random_macs = _from(facts, "netdev"), _from(facts, "mac")


def _fill_xen(xen: FakeXen, facts: dict[str, Any]) -> None:
    xen.bridges, xen.is_loaded, xen.loads = (facts["xen"][name] for name in ("bridges", "is_loaded", "loads"))
    xen._channels = itertools.count(facts["xen"]["channel"])
    xen.seats = {name: _seat(value) for name, value in _of(facts, "vif").items()}


def _of(facts: dict[str, Any], kind: str) -> dict[str, Any]:
    """The facts of that kind, by the names of what they are about."""
    return {fact.removeprefix(f"{kind} "): is_so for fact, is_so in facts.items() if fact.startswith(f"{kind} ")}


def _from(facts: dict[str, Any], name: str) -> Any:
    return itertools.count(facts["next"][name])


def _made(value: dict[str, Any], *, addresses: Collection[str] = (), states: Collection[str] = ()) -> dict[str, Any]:
    """The fields of a model's class, out of what JSON has of them."""
    readers = dict.fromkeys(addresses, PciAddress.parse) | dict.fromkeys(states, State)
    fields = {name: readers.get(name, lambda each: each)(each) for name, each in value.items()}
    return {name: tuple(each) if isinstance(each, list) else each for name, each in fields.items()}


def _device(value: dict[str, Any]) -> PciDevice:
    return PciDevice(**_made(value, addresses=("address", "pf")))


def _netdev(value: dict[str, Any]) -> NetdevState:
    return NetdevState(**_made(value))


def _network(value: dict[str, Any]) -> Network:
    network = _made(value)
    return Network(**network | {"addresses": tuple(map(PciAddress.parse, network.get("addresses", ())))})


def _port(value: dict[str, Any]) -> NetworkPort:
    port = _made(value, addresses=("host_address",))
    return NetworkPort(**port | {"mac": Mac(port["mac"]) if "mac" in port else None})


def _seat(value: dict[str, Any]) -> Seat:
    vif = Vif(**_made(value["vif"], states=("backend", "frontend")))
    state = _netdev(value["state"]) if "state" in value else None
    return Seat(vif, value["rings"], state, value.get("moves", 0))


def _lines(file: str) -> list[str]:
    return JOURNALS.joinpath(file).read_text().splitlines()


def _numbers(text: str) -> frozenset[int]:
    """Of ``0 2-5``, these five."""
    ends = [part.partition("-") for part in text.split()]
    return frozenset(number for first, _, last in ends for number in range(int(first), int(last or first) + 1))
