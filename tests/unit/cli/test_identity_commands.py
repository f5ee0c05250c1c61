"""What the commands of identity ask of the program."""

from __future__ import annotations

import pytest

from virtnetplug.model.identity import UnplugPolicy
from virtnetplug.model.interface import Interface
from virtnetplug.model.operation import Scope


@pytest.mark.parametrize(
    ("words", "fast"),
    [
        (["--to", "ua-vf0"], "ua-vf0"),
        (["--to-network", "pool0"], Interface(type="network", source_network="pool0")),
    ],
)
def test_what_takes_the_place(run, plugger, words, fast):
    assert run("handover", "web1", "--from", "ua-e", *words, "--persistent", "--allow-filter-loss").code == 0
    assert plugger.calls == [("handover", "web1", "ua-e", fast, Scope.BOTH, True, 30.0)]


def test_an_element_from_a_file(run, plugger, tmp_path):
    file = tmp_path / "vf.xml"
    file.write_text("<interface type='hostdev'/>")
    run("handover", "web1", "--from", "ua-e", "--to-xml", str(file), "--plan")
    assert plugger.calls == [("plan_handover", "web1", "ua-e", "<interface type='hostdev'/>", None, False)]


@pytest.mark.parametrize("words", [[], ["--to", "a", "--to-network", "b"]])
def test_one_thing_takes_it(run, plugger, words):
    ran = run("handover", "web1", "--from", "ua-e", *words)
    assert (ran.code, plugger.calls) == (2, []) and "--to-network" in ran.err


def test_back(run, plugger):
    run("handback", "web1", "ua-e", "--live", "--wait", "5")
    assert plugger.calls == [("handback", "web1", "ua-e", Scope.LIVE, 5.0)]


def test_attach_and_detach_know_of_twins(run, plugger):
    run("attach", "web1", "--network", "pool0", "--twin-of", "ua-e")
    run("detach", "web1", "ua-vf0", "--no-restore-emulated")
    run("detach", "web1", "ua-vf0", "--restore-emulated")
    assert [call[-1] for call in plugger.calls] == ["ua-e", False, True]


def test_what_is_remembered(run, plugger):
    ran = run("identity", "show", "web1")
    assert run("identity", "show").code == 0 and plugger.calls == [("identities", "web1"), ("identities", None)]
    assert [line.split() for line in ran.out.splitlines()][1] == ["web1", "ua-front", "config", "yes", "ua-vf0", "both"]
    plugger.remembered = ()
    assert run("identity", "show").out == "nothing is remembered\n"


def test_forget(run, plugger, wiring):
    assert run("identity", "forget", "web1", "ua-e").code == 0
    assert run("identity", "forget", "web1", "ua-e", "--force").code == 0
    assert plugger.calls == [("forget_identity", "web1", "ua-e", False), ("forget_identity", "web1", "ua-e", True)]
    run("identity", "show")
    assert [read_only for _, _, read_only in wiring.opened] == [False, False, True]


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["web1", "--force-unplug", "NICS"], ("web1", None, "NICS", None, 30.0)),
        (["web1", "--unplug", "active", "--wait", "5"], ("web1", UnplugPolicy.ACTIVE, None, None, 5.0)),
        (["web1", "--serve", "ua-a, ua-b,"], ("web1", None, None, ["ua-a", "ua-b"], 30.0)),
        (["--host", "--unplug", "keep"], (None, UnplugPolicy.KEEP, None, None, 30.0)),
    ],
)
def test_set(run, plugger, words, call):
    assert run("policy", "set", *words).code == 0
    assert plugger.calls == [("set_policy", *call)]


@pytest.mark.parametrize(
    ("words", "call"),
    [
        (["web1"], ("web1", True, True)),
        (["web1", "--unplug"], ("web1", True, False)),
        (["web1", "--serve"], ("web1", False, True)),
        (["web1", "--serve", "--unplug"], ("web1", True, True)),
        (["--host"], (None, True, True)),
    ],
)
def test_clear(run, plugger, words, call):
    assert run("policy", "clear", *words).code == 0
    assert plugger.calls == [("clear_policy", *call)]


@pytest.mark.parametrize(
    "words",
    [
        ("set", "--unplug", "keep"),
        ("set", "web1", "--host", "--unplug", "keep"),
        ("set", "web1", "--unplug", "never"),
        ("clear",),
        ("clear", "--host", "--serve"),
        ("explain",),
        ("forget", "web1"),
    ],
)
def test_it_must_be_said_whose_policy_and_what(run, wiring, words):
    assert run("policy", *words).code == 2 and wiring.opened == []


def test_why(run, plugger):
    ran = run("policy", "explain", "web1")
    assert plugger.calls == [("explain_policy", "web1")]
    assert ran.out.startswith("web1: unplug present (its own; the host's default is keep)\n")
    assert "ua-front, whose fast twin is ua-vf0, is unplugged from the guest: its fast twin is there\n" in ran.out
    rows = [line.split() for line in ran.out.splitlines() if "ua-vf" in line and line[:1].isdecimal()]
    assert [row[:5] for row in rows] == [
        ["1", "ua-vf0", "8086:10ca", "0000:00:05.0", "up"],
        ["2", "ua-vf1", "8086:10ca", "-", "up"],
    ]
    assert "its link cannot be held down: no link state" in ran.out and "the guest does not have it" in ran.out


def test_what_a_policy_had_done_is_a_warning(run, plugger, samples):
    plugger.warnings, plugger.enforced = (
        ("ua-front is to be unplugged from the guest: its twin is there",),
        (samples.enforced,),
    )
    ran = run("attach", "web1", "--network", "a")
    assert ran.code == 0 and "warning: ua-front is to be unplugged from the guest" in ran.err


def test_a_group_has_help_and_pages(run, tmp_path):
    assert "Commands:\n  forget" in run("identity", "--help").out
    assert run("man", "--output", str(tmp_path)).code == 0
    assert "\\-\\-force\\-unplug" in (tmp_path / "virtnetplug-policy-set.1").read_text()
