"""The exposition of a journal: byte for byte, and by Prometheus' conventions."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.golden_file import assert_golden
from tests.unit.metrics.journal import DETACH, KEY, START, URI, UUID, begin, nic, scripted
from tests.unit.metrics.tree import look
from virtnetplug.adapters.sqlite import SqliteJournal
from virtnetplug.lifecycle import State
from virtnetplug.metrics import exposition
from virtnetplug.model.operation import OperationRecord, OperationState, StepState

GOLDEN = Path(__file__).parents[2] / "golden/metrics/exposition.prom"
ON_INFO_ONLY = {"mac", "domain_uuid", "alias", "domain", "target", "uri", "source"}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = scripted(tmp_path / "state")
    yield journal
    journal.close()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[SqliteJournal]:
    journal = SqliteJournal.open(tmp_path / "empty")
    yield journal
    journal.close()


def families(journal: SqliteJournal) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(exposition(journal).decode())}


def value(journal: SqliteJournal, name: str, **labels: str) -> float | None:
    samples = [sample for family in families(journal).values() for sample in family.samples]
    return next((one.value for one in samples if one.name == name and one.labels == labels), None)


def test_the_exposition_is_the_golden_one(journal: SqliteJournal) -> None:
    assert_golden(GOLDEN, exposition(journal, look).decode())


def test_it_is_the_same_each_time_and_for_a_reader(journal: SqliteJournal) -> None:
    reader = SqliteJournal.open(journal.directory, read_only=True)
    assert exposition(journal) == exposition(journal) == exposition(reader)
    reader.close()


def test_names_units_and_labels_follow_the_conventions(journal: SqliteJournal) -> None:
    for family in text_string_to_metric_families(exposition(journal, look).decode()):
        assert family.documentation.endswith(".") or "(" in family.documentation
        assert re.fullmatch(r"virtnetplug(_[a-z]+)+", family.name)
        for sample in family.samples:
            assert all(sample.labels.values()), f"an empty label value: {sample}"
            assert not math.isnan(sample.value)
            if family.name != "virtnetplug_device_info" and not family.name.startswith("virtnetplug_vf_"):
                assert not ON_INFO_ONLY & sample.labels.keys(), (
                    "unbounded: belongs on the info metric, or is about one NIC"
                )
            if family.type == "counter":
                assert sample.name.endswith("_total")


def test_a_histogram_is_whole(journal: SqliteJournal) -> None:
    family = families(journal)["virtnetplug_operation_duration_seconds"]
    series = {of(sample) for sample in family.samples}
    assert {("attach", "guest", None), ("rebind", "plug", "move"), ("rebind", "plug", "heal")} <= series
    for each in series:
        counts = [sample.value for sample in family.samples if sample.name.endswith("_bucket") and of(sample) == each]
        assert counts == sorted(counts)
        assert len(counts) == 16
        (count,) = (one.value for one in family.samples if one.name.endswith("_count") and of(one) == each)
        assert counts[-1] == count


def of(sample: Sample) -> tuple[str, str, str | None]:
    return sample.labels["operation"], sample.labels["phase"], sample.labels.get("kind")


def test_an_empty_journal_has_zeroes_and_no_nan(empty: SqliteJournal) -> None:
    assert value(empty, "virtnetplug_detach_pending") == 0
    assert value(empty, "virtnetplug_oldest_detach_pending_timestamp_seconds") is None
    assert {sample.value for family in families(empty).values() for sample in family.samples} == {0.0}


def test_a_detach_is_pending_until_it_is_over(empty: SqliteJournal) -> None:
    pending = "virtnetplug_detach_pending"
    oldest = "virtnetplug_oldest_detach_pending_timestamp_seconds"
    begin(empty, "op", "detach", DETACH)
    empty.step("op", 0, StepState.STARTED, at=START)
    assert value(empty, pending) == 0, "not yet asked"
    empty.step("op", 1, StepState.STARTED, at=START + 1)
    assert (value(empty, pending), value(empty, oldest)) == (1, START + 1)
    empty.finish("op", OperationState.PENDING, result="pending")
    assert (value(empty, pending), value(empty, oldest)) == (1, START + 1)
    empty.step("op", 1, StepState.DONE)
    empty.finish("op", OperationState.DONE, result="done")
    assert (value(empty, pending), value(empty, oldest)) == (0, None)


def test_the_kinds_of_a_rebind_are_told_apart_and_those_that_are_none_are_as_before(journal: SqliteJournal) -> None:
    name = "virtnetplug_operations_total"
    series = [one.labels for one in families(journal)[name.removesuffix("_total")].samples]
    kinds = {labels.get("kind") for labels in series if labels["operation"] == "rebind"}
    assert kinds == {"move", "heal"} and all("kind" not in one for one in series if one["operation"] != "rebind")
    assert value(journal, "virtnetplug_operations_in_progress", operation="rebind", kind="move") == 1


def test_only_a_living_call_has_operations_in_progress(empty: SqliteJournal) -> None:
    name = "virtnetplug_operations_in_progress"
    with empty.call() as owner:
        begin(empty, "op", "detach", DETACH, owner=owner)
        assert value(empty, name, operation="detach") == 1
    assert not value(empty, name, operation="detach")
    with empty.call() as owner:
        assert empty.adopt("op", owner)
        assert value(empty, name, operation="detach") == 1
        empty.finish("op", OperationState.DONE, result="done", owner=owner)
    assert value(empty, name, operation="detach") == 0, "a series that was there stays"


def test_counters_outlive_what_they_counted(journal: SqliteJournal) -> None:
    def counters() -> list[tuple[str, tuple[tuple[str, str], ...], float]]:
        return [
            (sample.name, tuple(sample.labels.items()), sample.value)
            for family in families(journal).values()
            if family.type in ("counter", "histogram")
            for sample in family.samples
        ]

    before = counters()
    assert journal.prune(keep_seconds=-1) == 9
    assert counters() == before
    assert before


def test_the_states_are_the_hosts_where_it_shows_them(journal: SqliteJournal) -> None:
    (nic,) = journal.nics()
    shown = {(nic.domain_uuid, nic.alias): (State.CLOSED, State.INIT_WAIT), ("another", nic.alias): (State.CLOSED,) * 2}
    (family,) = (
        one
        for one in text_string_to_metric_families(exposition(journal, states=lambda: shown).decode())
        if one.name == "virtnetplug_device_info"
    )
    assert [(one.labels["frontend"], one.labels["backend"]) for one in family.samples] == [("Closed", "InitWait")]


def test_a_nic_whose_vif_gets_its_driver_anew_does_not_leave(empty: SqliteJournal) -> None:
    """The operation is no domain's, and keeps others from the NIC; but it takes no NIC out."""
    empty.put_nic(nic())
    entry = {"alias": "ua-web", "domain_uuid": UUID}
    states = {}
    for kind in ("vif", ""):
        record = OperationRecord(
            id=f"op-{kind}",
            operation="rebind",
            uri=URI,
            hypervisor=KEY,
            domain_uuid="",
            domain_name="web",
            request={"nics": [entry], "kind": kind},
        )
        empty.begin(record)
        (sample,) = families(empty)["virtnetplug_device_info"].samples
        states[kind] = sample.labels["frontend"], sample.labels["backend"]
    assert states == {"vif": ("Unknown", "Connected"), "": ("Closing", "Closing")}


def test_the_page_names_every_family_and_its_labels(journal: SqliteJournal) -> None:
    page = (Path(__file__).parents[3] / "docs/metrics.md").read_text()
    told = set(re.findall(r"`(virtnetplug(?:_[a-z]+)+)`", page))
    there = list(text_string_to_metric_families(exposition(journal, look).decode()))
    assert told == {family.name + ("_total" if family.type == "counter" else "") for family in there}
    for family in there:
        for sample in family.samples:
            assert all(f"`{label}`" in page for label in sample.labels if label != "le"), family.name
