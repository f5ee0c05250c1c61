"""What the commands of identity ask of the program."""

from __future__ import annotations

import pytest

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
