"""What each command asks of the plugger, and that the options reach it."""

from __future__ import annotations

from pathlib import Path

import pytest

from virtnetplug.model.interface import Interface, Limit, Vlan, VlanTag
from virtnetplug.model.operation import Refusal, Scope

NET = ("--network", "default")
A = Interface(type="network", source_network="a")
B = Interface(type="bridge", source_bridge="b", vlan=Vlan((VlanTag(1), VlanTag(2)), trunk=True))


@pytest.mark.parametrize(
    ("flags", "scope"),
    [
        ((), None),
        (("--live",), Scope.LIVE),
        (("--config",), Scope.CONFIG),
        (("--persistent",), Scope.BOTH),
        (("--live", "--config"), Scope.BOTH),
        (("--live", "--persistent"), Scope.BOTH),
    ],
)
@pytest.mark.parametrize(
    "words", [("attach", "web1", *NET), ("detach", "web1", "x"), ("update", "web1", "x", "--mtu", "9000")]
)
@pytest.mark.parametrize("plan", [False, True])
def test_scope(words, flags, scope, plan, run, plugger):
    assert run(*words, *flags, *(["--plan"] if plan else [])).code == 0
    ((name, *arguments),) = plugger.calls
    assert name == (f"plan_{words[0]}" if plan else words[0])
    assert [argument for argument in arguments if isinstance(argument, Scope)] == ([scope] if scope else [])


def test_attach_several(run, plugger, tmp_path: Path):
    file = tmp_path / "nic.xml"
    file.write_text("<interface/>")
    assert run("attach", "web1", "--nic", "network=a", "--nic", "bridge=b,vlan=1,2", "--xml", str(file)).code == 0
    assert plugger.calls == [("attach", "web1", [A, B, "<interface/>"], None, 30.0)]


@pytest.mark.parametrize("other", [("--nic", "network=a"), ("--xml", "-")])
def test_flat_flags_beside_several_nics_are_refused_with_a_remedy(other, run, wiring):
    ran = run("attach", "web1", "--mac", "52:54:00:00:00:01", *other)
    assert ran.code == 2
    assert "another --nic (mac=52:54:00:00:00:01)" in ran.err
    assert wiring.opened == []


def test_wait(run, plugger):
    run("attach", "web1", *NET, "--wait", "5")
    run("detach", "web1", "x", "--wait=0.5")
    run("update", "web1", "x", "--link", "down", "--wait", "7", "--replace")
    run("recover", "--wait", "9")
    run("recover", "web1")
    assert plugger.calls == [
        ("attach", "web1", [Interface(type="network", source_network="default")], None, 5.0),
        ("detach", "web1", ("x",), None, 0.5),
        ("update", "web1", "x", {"link_state": "down"}, None, True, 7.0),
        ("recover", None, 9.0),
        ("recover", "web1", 0.0),
    ]


@pytest.mark.parametrize("wait", ["nan", "inf", "-1", "soon", "1e999"])
def test_a_wait_that_is_no_time_is_refused(wait, run, wiring):
    ran = run("detach", "web1", "x", f"--wait={wait}")
    assert (ran.code, wiring.opened) == (2, [])
    assert "number of seconds" in ran.err


def test_update_by_flags_and_by_xml(run, plugger, tmp_path):
    file = tmp_path / "nic.xml"
    file.write_text("<interface type='user'/>")
    assert run("update", "web1", "x", "--inbound", "1,2", "--vlan", "none").code == 0
    assert run("update", "web1", "x", "--xml", str(file), "--replace").code == 0
    assert plugger.calls == [
        ("update", "web1", "x", {"bandwidth_inbound": Limit(1, 2), "vlan": None}, None, False, 30.0),
        ("update", "web1", "x", "<interface type='user'/>", None, True, 30.0),
    ]
    ran = run("update", "web1", "x", "--xml", str(file), "--mtu", "9000")
    assert ran.code == 2
    assert "--mtu" in ran.err


def test_rebind_names_what_is_behind_the_nic(run, plugger):
    assert run("rebind", "web1", "x", "--network", "blue", "--vlan", "none").code == 0
    assert (
        run("rebind", "web1", "x", "--bridge", "br1", "--persistent", "--flap-link", "--replace", "--wait", "9").code
        == 0
    )
    assert plugger.calls == [
        (
            "rebind",
            "web1",
            "x",
            {"type": "network", "source_network": "blue", "vlan": None},
            Scope.LIVE,
            False,
            False,
            30.0,
        ),
        ("rebind", "web1", "x", {"type": "bridge", "source_bridge": "br1"}, Scope.BOTH, True, True, 9.0),
    ]
    assert run("rebind", "web1", "x", "--network", "blue").out.startswith("ua-1f0c")


def test_heal_chooses_by_network_or_bridge(run, plugger):
    for words in ((), ("web1",), ("web1", "x"), ("--network", "blue"), ("web1", "--bridge", "br1")):
        assert run("rebind", "--heal", *words).code == 0
    assert [call[1:] for call in plugger.calls] == [
        (None, None, None, None),
        ("web1", None, None, None),
        ("web1", "x", None, None),
        (None, None, "blue", None),
        ("web1", None, None, "br1"),
    ]


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("web1",),
        ("web1", "x", "--persistent"),
        ("web1", "x", "--flap-link"),
        ("web1", "x", "--reload-driver", "--replace"),
        ("web1", "x", "--reload-driver", "--network", "a"),
        ("web1", "x", "--reload-driver", "--numvfs", "4"),
        ("web1", "--reload-driver"),
        ("web1", "x", "--network", "a", "--bridge", "b"),
        ("web1", "x", "--network", "a", "--live"),
        ("web1", "x", "--vlan", "9999"),
        ("web1", "x", "--mac", "52:54:00:00:00:01"),
        ("--heal", "--vlan", "7"),
        ("--heal", "--persistent"),
        ("--heal", "--replace"),
        ("--heal", "--flap-link"),
        ("--heal", "web1", "x", "--network", "blue"),
        ("--heal", "web1", "x", "y"),
        ("web1", "--vf", "auto"),
        ("web1", "x", "--vf", "auto", "--network", "blue"),
        ("web1", "x", "--vf", "auto", "--persistent"),
        ("web1", "x", "--vf", "auto", "--heal"),
        ("web1", "x", "--numvfs", "4"),
        ("web1", "x", "--network", "blue", "--allow-outage"),
        ("--pf", "eth0", "--heal"),
        ("--pf", "eth0", "--vf", "auto"),
        ("--pf", "eth0", "--reload-driver", "--network", "blue"),
        ("web1", "--pf", "eth0", "--reload-driver"),
        ("--pf", "eth0", "--numvfs", "-1"),
        ("--reload-driver",),
    ],
)
def test_what_makes_no_sense_of_rebind_is_a_usage_error(words, run, wiring):
    ran = run("rebind", *words)
    assert (ran.code, wiring.opened) == (2, []), ran.out


def test_rebind_of_a_vif(run, plugger):
    assert run("rebind", "web1", "x", "--wait", "9").code == 0
    assert run("rebind", "web1", "x", "--reload-driver").code == 0
    assert run("rebind", "web1", "x", "--plan").code == 0
    assert run("plan", "rebind", "web1", "x", "--reload-driver").code == 0
    assert plugger.calls == [
        ("rebind_vif", "web1", "x", False, 9.0),
        ("rebind_vif", "web1", "x", True, 30.0),
        ("plan_rebind_vif", "web1", "x", False),
        ("plan_rebind_vif", "web1", "x", True),
    ]


def test_rebind_of_a_vf_and_of_a_pf(run, plugger):
    assert run("rebind", "web1", "x", "--vf", "auto", "--wait", "9").code == 0
    assert run("rebind", "web1", "x", "--vf", "0000:01:10.2", "--plan").code == 0
    assert run("rebind", "--pf", "eth0", "--reload-driver", "--allow-outage").code == 0
    hook = ("--firmware-hook", "flash 'a b'")
    assert run("rebind", "--pf", "0000:01:00.0", "--numvfs", "0", *hook, "--plan").code == 0
    assert plugger.calls == [
        ("rebind_vf", "web1", "x", "auto", 9.0),
        ("plan_rebind_vf", "web1", "x", "0000:01:10.2"),
        ("rebind_pf", "eth0", {"reload_driver": True, "allow_outage": True, "wait": 30.0}),
        ("plan_rebind_pf", "0000:01:00.0", {"numvfs": 0, "firmware_hook": "flash 'a b'"}),
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("attach", "web1", *NET, "--persistent"),
        ("attach", "web1", "--nic", "network=a", "--nic", "bridge=b"),
        ("detach", "web1", "x", "y", "--live"),
        ("update", "web1", "x", "--mtu", "9000", "--replace"),
        ("rebind", "web1", "x", "--network", "blue"),
        ("rebind", "--heal"),
        ("recover",),
        ("recover", "web1"),
        ("audit",),
    ],
)
@pytest.mark.parametrize("fits", [True, False])
def test_plan_is_the_operation_with_plan(words, fits, run, plugger):
    plugger.refusals = () if fits else (Refusal(reason="no-free-port", message="No port is free."),)
    answers, calls = [], []
    for line in (("plan", *words), (*words, "--plan"), (*words, "--dry-run")):
        plugger.calls.clear()
        ran = run(*line, "--json")
        answers.append((ran.code, ran.document, ran.err))
        calls.append(list(plugger.calls))
    assert answers[0] == answers[1] == answers[2]
    assert calls[0] == calls[1] == calls[2]
    assert answers[0][0] == (1 if words[0] == "audit" else 0 if fits or words[0] == "audit" else 3)
    named = {"attach", "detach", "update", "rebind", "heal", "recover"}
    assert {name for name, *_ in calls[0]} <= {"audit", *(f"plan_{name}" for name in named)}


@pytest.mark.parametrize(
    ("words", "read_only"),
    [
        (("attach", "web1", *NET), False),
        (("attach", "web1", *NET, "--plan"), True),
        (("plan", "attach", "web1", *NET), True),
        (("detach", "web1", "x"), False),
        (("update", "web1", "x", "--mtu", "9000"), False),
        (("list",), True),
        (("show", "web1", "x"), True),
        (("rebind", "web1", "x", "--network", "blue"), False),
        (("rebind", "web1", "x", "--network", "blue", "--plan"), True),
        (("rebind", "--heal"), False),
        (("plan", "rebind", "--heal"), True),
        (("recover",), False),
        (("recover", "--plan"), True),
        (("audit",), True),
        (("audit", "--repair"), False),
        (("audit", "--repair", "--plan"), True),
    ],
)
def test_only_what_changes_something_opens_for_writing(words, read_only, run, wiring, plugger):
    run(*words)
    assert wiring.opened == [(None, None, read_only)]
    assert plugger.is_closed


def test_audit_repairs_only_when_asked(run, plugger):
    assert run("audit").code == 1
    assert run("audit", "--repair", "--plan").code == 1
    assert [name for name, *_ in plugger.calls] == ["audit", "audit"]
    assert run("audit", "web1", "--repair").code == 0
    assert [name for name, *_ in plugger.calls] == ["audit", "audit", "audit", "repair"]


def test_history_reads_the_journal(run, wiring):
    wiring.names = ("web1",)
    assert run("history", "web1", "--limit", "5").code == 0
    assert run("history", "-c", "xen:///system").code == 0
    assert run("history", "7").code == run("history", "gone").code == 0
    assert wiring.opened == []
    assert wiring.journals == [(None, True)] * 4
    assert wiring.fake_journal.calls == [
        ("history", None, "web1", {"uuid of web1": "web1"}, 5),
        ("history", "xen:///system", None, {}, 20),
        ("history", None, "7", {"uuid of web1": "web1"}, 20),
        ("history", None, "uuid of 7", {"uuid of web1": "web1"}, 20),
        ("history", None, "gone", {"uuid of web1": "web1"}, 20),
    ]
    assert wiring.fake_journal.is_closed


def test_a_hypervisor_that_does_not_answer_is_asked_once_for_a_history(run, wiring):
    wiring.names = ()
    assert run("history", "7").code == 0
    assert wiring.fake_journal.calls == [("history", None, "7", {}, 20)]


def test_demo(run, wiring):
    assert run("demo").out == "keep: False\n"
    wiring.demo_code = 4
    ran = run("demo", "--keep", "--json")
    assert (ran.code, ran.document["lines"], ran.document["exit_code"]) == (4, ["keep: True"], 4)


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "test:///a", "--state-dir", "/s", "list"),
        ("list", "-c", "test:///a", "--state-dir", "/s"),
        ("-c", "test:///other", "list", "--connect=test:///a", "--state-dir=/s"),
        ("--state-dir", "/s", "plan", "-c", "test:///a", "recover"),
    ],
)
def test_global_options_before_and_after_the_command(words, run, wiring):
    assert run(*words).code == 0
    assert wiring.opened == [("test:///a", Path("/s"), True)]


def test_the_environment_and_what_overrides_it(run, wiring, monkeypatch):
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///env")
    monkeypatch.setenv("VIRTNETPLUG_STATE_DIR", "/env")
    run("list")
    run("-c", "test:///a", "--state-dir", "/s", "list")
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "")
    run("list")
    assert wiring.opened == [
        ("test:///env", Path("/env"), True),
        ("test:///a", Path("/s"), True),
        (None, Path("/env"), True),
    ]


def test_a_detached_nic_that_is_nowhere_any_more_is_named(run, plugger):
    plugger.nics, plugger.message = (), ""
    assert run("detach", "web1", "x", "--live").out.startswith("ua-1f0c detached from web1 ")
