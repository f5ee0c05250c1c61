"""The whole command, as processes, on a real guest."""

from __future__ import annotations

import signal
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import libvirt
import pytest

from tests.environment import environment
from tests.real import links
from tests.real.command import PROGRAM, Command, finish
from tests.real.guests import Guest
from tests.real.namespace import wait_until
from tests.real.prometheus import program

pytestmark = pytest.mark.driver("daemon")

Start = Callable[..., Guest]
Bridge = Callable[..., str]
Network = Callable[..., libvirt.virNetwork]


def element(bridge: str, alias: str, extra: str = "") -> str:
    return (
        f"<interface type='bridge'><source bridge='{bridge}'/><model type='virtio'/>{extra}"
        f"<alias name='{alias}'/></interface>"
    )


def test_attach_by_flags_then_list_show_and_detach(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    mac = "52:54:00:aa:00:01"
    nic = command.json("attach", one.name, "--bridge", switch, "--model", "virtio", "--mac", mac, "--alias", "ua-a").nic
    assert (nic["alias"], nic["mac"], nic["model"], nic["live"], nic["config"]) == ("ua-a", mac, "virtio", True, False)
    assert links.members(switch) == {nic["target"]} == {one.target("ua-a")}

    for selector in ("ua-a", mac, mac.upper(), nic["target"], nic["address"]):
        shown = command.json("show", one.name, selector).document
        assert shown["nic"]["alias"] == "ua-a"
        assert mac in shown["live"] and shown["config"] is None
    people = command("list", one.name).out.splitlines()
    assert people[0].split()[:3] == ["DOMAIN", "ALIAS", "MAC"] and people[1].split()[:3] == [one.name, "ua-a", mac]

    gone = command.json("detach", one.name, nic["address"]).document
    assert (gone["result"], gone["nics"]) == ("done", [])
    assert one.aliases() == [] and links.members(switch) == set()
    assert command("list", one.name).out == "no NICs\n"
    again = command.json("detach", one.name, "ua-a", code=3).document
    assert again["reason"] == "nic-missing" and "no NIC at all" in again["message"]


def test_several_nics_in_one_call_are_all_or_nothing(command: Command, guest: Start, bridge: Bridge) -> None:
    one, first, second = guest(), bridge(), bridge()
    both = ("--nic", f"bridge={first},alias=ua-a,model=virtio", "--nic", f"bridge={second},alias=ua-b,model=e1000")
    answer = command.json("attach", one.name, *both).document
    assert [nic["alias"] for nic in answer["nics"]] == one.aliases() == ["ua-a", "ua-b"]
    assert (len(links.members(first)), len(links.members(second))) == (1, 1)
    assert command.json("attach", one.name, *both).document["result"] == "already"
    refused = command.json(
        "attach", one.name, "--nic", f"bridge={first},alias=ua-c", "--nic", "bridge=nosuch0,alias=ua-d", code=3
    )
    assert refused.document["reason"] == "bridge-missing"
    assert one.aliases() == ["ua-a", "ua-b"]
    command("detach", one.name, "ua-a", "ua-b")
    assert one.aliases() == []


def test_xml_from_standard_input_keeps_what_is_not_known(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    text = element(switch, "ua-x", "<driver name='vhost' rx_queue_size='512'/><link state='down'/>")
    assert command.json("attach", one.name, "--xml", "-", stdin=text).nic["link_state"] == "down"
    (nic,) = one.xml().iterfind("devices/interface")
    driver = nic.find("driver")
    assert driver is not None and driver.attrib["rx_queue_size"] == "512"


def test_update_in_place_and_by_replacement(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    was = command.json("attach", one.name, "--bridge", switch, "--alias", "ua-a", "--model", "virtio").nic
    assert command.json("update", one.name, "ua-a", "--link", "down").nic["link_state"] == "down"
    assert one.xml().find("devices/interface/link[@state='down']") is not None
    assert command.json("update", one.name, "ua-a", "--link", "down").document["result"] == "already"

    before = one.dom.XMLDesc()
    refused = command.json("update", one.name, "ua-a", "--model", "e1000", code=3).document
    assert refused["reason"] == "needs-replace" and "--replace" in refused["message"]
    assert one.dom.XMLDesc() == before
    now = command.json("update", one.name, "ua-a", "--model", "e1000", "--replace").nic
    assert now["model"] == "e1000" and now["link_state"] == "down"
    assert [now[key] for key in ("mac", "alias", "address")] == [was[key] for key in ("mac", "alias", "address")]
    assert links.members(switch) == {now["target"]}


def test_plan_says_the_same_in_both_spellings_and_touches_nothing(
    command: Command, guest: Start, bridge: Bridge
) -> None:
    one, switch = guest(), bridge()
    words = (one.name, "--bridge", switch, "--mac", "52:54:00:aa:00:09", "--alias", "ua-p", "--persistent")
    before = _definitions(one)
    plan, flag = command.json("plan", "attach", *words).document, command.json("attach", *words, "--plan").document
    assert plan == flag and plan["fits"] and "ua-p" in plan["diff"]["live"] and "ua-p" in plan["diff"]["config"]
    command("attach", *words)
    refused = command.json("plan", "attach", *words[:-1], "--nic", "bridge=nosuch0", code=2)
    assert refused.document["reason"] == "usage"
    unfit = command.json("plan", "attach", one.name, "--nic", "bridge=nosuch0", code=3).document
    assert unfit["reason"] == "bridge-missing" and not unfit["fits"]
    out = command.json("plan", "detach", one.name, "ua-p", "--persistent").document
    assert [step["name"] for step in out["steps"]] == ["ask", "guest_release", "host_net_remove", "undefine"]
    command("detach", one.name, "ua-p", "--persistent")
    assert _definitions(one) == before


def _definitions(one: Guest) -> list[str]:
    """Both, without the empty element that libvirt leaves where metadata was."""
    flags = (0, libvirt.VIR_DOMAIN_XML_INACTIVE)
    return [one.dom.XMLDesc(flag).replace("  <metadata/>\n", "") for flag in flags]


def test_scopes(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    # Two slots taken live and one in the definition: left to itself libvirt would choose another for the next boot.
    command("attach", one.name, "--bridge", switch, "--alias", "ua-c", "--config")
    assert one.aliases() == []
    command("attach", one.name, "--bridge", switch, "--alias", "ua-l", "--live")
    command("attach", one.name, "--bridge", switch, "--alias", "ua-m", "--live")
    nic = command.json("attach", one.name, "--bridge", switch, "--alias", "ua-b", "--persistent").nic
    assert nic["live"] and nic["config"]
    live, config = (
        {
            net.find("alias").attrib["name"]: net.find("address").attrib  # type: ignore[union-attr]
            for net in one.xml(inactive=inactive).iterfind("devices/interface")
        }
        for inactive in (False, True)
    )
    assert set(live) == {"ua-l", "ua-m", "ua-b"} and set(config) == {"ua-c", "ua-b"}
    assert live["ua-b"] == config["ua-b"]
    assert live["ua-l"] == config["ua-c"] != live["ua-m"], "a slot is taken live that is free in the definition"
    rows = {row["alias"]: (row["live"], row["config"]) for row in command.json("list", one.name).document["nics"]}
    assert rows == {"ua-c": (False, True), "ua-l": (True, False), "ua-m": (True, False), "ua-b": (True, True)}
    wrong = command.json("detach", one.name, "ua-l", "--config", code=3).document
    assert wrong["reason"] == "nic-missing" and "--live" in wrong["message"]
    command("detach", one.name, "ua-b", "--live", "--config")
    command("detach", one.name, "ua-c", "--config")
    assert one.xml(inactive=True).find("devices/interface") is None and one.aliases() == ["ua-l", "ua-m"]


def test_a_transient_domain_has_no_config_scope(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(persistent=False), bridge()
    refused = command.json("attach", one.name, "--bridge", switch, "--persistent", code=3).document
    assert refused["reason"] == "domain-transient"
    assert one.aliases() == [] and links.members(switch) == set()
    assert command.json("attach", one.name, "--bridge", switch).nic["live"]


def test_a_domain_that_is_off_takes_its_definition_only(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(running=False), bridge()
    assert command.json("attach", one.name, "--bridge", switch, code=3).document["reason"] == "domain-not-running"
    assert command.json("attach", one.name, "--bridge", switch, "--persistent", code=3).document["reason"] == (
        "domain-not-running"
    )
    assert command.json("attach", one.name, "--bridge", switch, "--alias", "ua-a", "--config").nic["config"]
    command("detach", one.name, "ua-a", "--config")
    assert one.xml(inactive=True).find("devices/interface") is None


def test_a_guest_that_holds_on_makes_it_pending_until_it_lets_go(
    command: Command, guest: Start, bridge: Bridge
) -> None:
    one, switch = guest(), bridge()
    command("attach", one.name, "--bridge", switch, "--alias", "ua-a", "--persistent")
    one.hold()
    pending = command.json("detach", one.name, "ua-a", "--persistent", "--wait", "0.5", code=75).document
    assert (pending["result"], pending["reason"]) == ("pending", "guest-holds-device")
    assert "recover" in pending["message"] and one.aliases() == ["ua-a"]
    (row,) = command.json("list", one.name).document["nics"]
    assert (row["pending"], row["frontend"], row["backend"]) == (pending["operation_id"], "Closing", "Closing")
    assert "(pending)" in command("list", one.name).out

    still = command.json("recover", one.name, code=75).document
    assert [(each["result"], each["operation_id"]) for each in still["operations"]] == [
        ("pending", pending["operation_id"])
    ]
    assert command.json("recover", "--plan").document["plans"][0]["steps"]
    threading.Timer(1.0, one.resume).start()
    done = command.json("recover", "--wait", "600").document
    assert [each["result"] for each in done["operations"]] == ["done"]
    assert one.aliases() == [] and links.members(switch) == set()
    assert one.xml(inactive=True).find("devices/interface") is None
    assert command("recover").out == "nothing to recover\n"
    history = command.json("history", one.name).document["operations"]
    assert [(each["operation"], each["state"]) for each in history] == [("detach", "done"), ("attach", "done")]


def test_a_paused_guest_is_pending_from_the_start_and_says_why(command: Command, guest: Start, bridge: Bridge) -> None:
    one = guest()
    command("attach", one.name, "--bridge", bridge(), "--alias", "ua-a")
    one.dom.suspend()
    pending = command.json("detach", one.name, "ua-a", "--wait", "0.5", code=75).document
    assert pending["reason"] == "guest-paused" and "paused" in pending["message"]
    assert any("paused by a user" in warning for warning in pending["warnings"])
    one.dom.resume()
    assert command.json("recover", one.name, "--wait", "600").document["operations"][0]["result"] == "done"
    assert one.aliases() == []


def test_attach_to_a_paused_guest(command: Command, guest: Start, bridge: Bridge) -> None:
    one = guest()
    one.dom.suspend()
    assert command.json("attach", one.name, "--bridge", bridge(), "--alias", "ua-a").nic["live"]


def test_ctrl_c_during_the_wait_says_what_is_left(command: Command, guest: Start, bridge: Bridge) -> None:
    one = guest()
    command("attach", one.name, "--bridge", bridge(), "--alias", "ua-a")
    one.hold()
    for words in (("--json",), ()):
        process = command.start("detach", one.name, "ua-a", "--wait", "600", "-v", *words)
        assert process.stderr is not None
        for line in process.stderr:
            if "let go of ua-a" in line:
                break
        process.send_signal(signal.SIGINT)
        answer = finish(process)
        assert answer.code == 130 and "Traceback" not in answer.err
        text = answer.document["message"] if words else answer.err
        assert "virtnetplug recover" in text and "ua-a" in text
        assert not words or answer.document["reason"] == "interrupted"
    one.resume()
    command("recover", one.name, "--wait", "600")
    assert one.aliases() == []


def test_no_free_port_is_said_before_anything_is_touched(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(machine="q35", root_ports=2), bridge()
    command("attach", one.name, "--bridge", switch, "--model", "virtio", "--alias", "ua-a")
    before = one.dom.XMLDesc()
    two = [word for alias in ("ua-b", "ua-c") for word in ("--nic", f"bridge={switch},model=virtio,alias={alias}")]
    refused = command.json("attach", one.name, *two, code=3).document
    assert refused["reason"] == "no-free-port" and "pcie-root-port" in refused["message"]
    assert one.dom.XMLDesc() == before and len(links.members(switch)) == 1
    command("attach", one.name, *two[:2])
    refused = command.json("attach", one.name, *two[2:], code=3).document
    assert refused["reason"] == "no-free-port" and "no free" in refused["message"]
    assert command.json("history").document["operations"][0]["operation"] == "attach"
    assert len(command.json("history").document["operations"]) == 2, "a refusal before the beginning is no operation"


def test_teaming_pairs(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    mac = "52:54:00:aa:00:0a"
    alone = ("--nic", f"bridge={switch},model=virtio,mac={mac},alias=ua-t,teaming=transient:ua-p")
    assert command.json("attach", one.name, *alone, code=3).document["reason"] == "teaming-incomplete"
    wrong = ("--nic", f"bridge={switch},model=e1000,mac={mac},alias=ua-p,teaming=persistent")
    assert command.json("attach", one.name, *wrong, code=3).document["reason"] == "teaming-incomplete"
    assert one.aliases() == []
    right = ("--nic", f"bridge={switch},model=virtio,mac={mac},alias=ua-p,teaming=persistent")
    assert command.json("attach", one.name, *right).nic["alias"] == "ua-p"
    # The other half is a PCI device of the host: a bridge NIC as one is refused by whoever knows better, and undone.
    before = one.dom.XMLDesc()
    answer = command.run("attach", one.name, *alone, "--json")
    assert answer.code in (3, 4), answer
    assert one.dom.XMLDesc() == before and len(links.members(switch)) == 1


def test_the_domain_by_uuid_and_id_and_the_hypervisor_by_environment(
    command: Command, guest: Start, bridge: Bridge
) -> None:
    one, switch = guest(), bridge()
    command("attach", one.uuid, "--bridge", switch, "--alias", "ua-a")
    command("attach", str(one.dom.ID()), "--bridge", switch, "--alias", "ua-b")
    assert one.aliases() == ["ua-a", "ua-b"]
    for uri, code in (("qemu:///system", 0), ("nosuch:///system", 3)):
        done = subprocess.run(
            [PROGRAM, "--state-dir", command.state, "list", one.name, "--json"],
            env=environment(LIBVIRT_DEFAULT_URI=uri),
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done
        assert ("ua-a" in done.stdout) == (code == 0)


def test_audit_finds_drift_and_mends_it(command: Command, guest: Start, bridge: Bridge, network: Network) -> None:
    one, switch, net = guest(), bridge(), network("isolated")
    tap = command.json("attach", one.name, "--bridge", switch, "--alias", "ua-a").nic["target"]
    command("attach", one.name, "--network", net.name(), "--alias", "ua-n")
    assert command.json("audit").document["findings"] == []

    links.ip("link", "set", tap, "nomaster")
    net.destroy()
    net.create()
    found = command.json("audit", code=1).document
    kinds = {(finding["kind"], finding["nic"]) for finding in found["findings"]}
    assert kinds == {("tap-not-in-bridge", "ua-a"), ("tap-not-in-bridge", "ua-n"), ("port-missing", "ua-n")}
    plan = command("audit", "--repair", "--plan", code=1).out
    assert f"--repair would: put {tap} into bridge {switch}" in plan and links.members(switch) == set()
    mended = command.json("audit", "--repair").document
    assert [finding["repaired"] for finding in mended["findings"]] == [True] * 3
    assert links.members(switch) == {tap} and links.members(net.bridgeName()) == {one.target("ua-n")}
    assert command.json("audit").document["findings"] == []


def test_metrics_count_one_shot_runs(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    command("attach", one.name, "--bridge", switch, "--alias", "ua-a")
    command("attach", one.name, "--bridge", switch, "--alias", "ua-b")
    command("detach", one.name, "ua-a")
    one.hold()
    command("detach", one.name, "ua-b", "--wait", "0.2", code=75)
    text = command("metrics").out
    assert _samples(text, "virtnetplug_operations_total")[("attach", "done")] == 2
    assert _samples(text, "virtnetplug_operations_total")[("detach", "done")] == 1
    assert "\nvirtnetplug_detach_pending 1.0\n" in text and f'domain="{one.name}"' in text
    promtool = subprocess.run([program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True)
    assert (promtool.returncode, promtool.stderr) == (0, ""), promtool

    process = command.start("serve", "--listen", "127.0.0.1:0")
    assert process.stdout is not None
    where = process.stdout.readline().split()[-1]
    with urllib.request.urlopen(where) as answer:
        scraped = answer.read().decode()
    assert _samples(scraped, "virtnetplug_operations_total") == _samples(text, "virtnetplug_operations_total")
    process.terminate()
    assert finish(process).code == 0


def _samples(text: str, name: str) -> dict[tuple[str, str], float]:
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[tuple[str, str], float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name:
                key = sample.labels["operation"], sample.labels["result"]
                found[key] = found.get(key, 0) + sample.value
    return found


def test_reading_works_with_a_journal_that_cannot_be_written(
    command: Command, guest: Start, bridge: Bridge, place: Path, request: pytest.FixtureRequest
) -> None:
    one, switch = guest(), bridge()
    command("attach", one.name, "--bridge", switch, "--alias", "ua-a")
    _make_read_only(command.state, request)
    for words in (("list",), ("show", one.name, "ua-a"), ("history",), ("metrics",), ("audit",), ("recover", "--plan")):
        assert "ua-a" in command(*words).out or words[0] in ("history", "audit", "recover"), words
    assert "attach" in command("history").out
    assert command.json("plan", "detach", one.name, "ua-a").document["fits"]
    refused = command.json("detach", one.name, "ua-a", code=3).document
    assert refused["reason"] == "journal-read-only" and one.aliases() == ["ua-a"]


def _make_read_only(path: Path, request: pytest.FixtureRequest) -> None:
    """Root can write to anything but a read-only mount."""
    subprocess.run(["mount", "--bind", path, path], check=True)
    request.addfinalizer(lambda: subprocess.run(["umount", path], check=True))
    subprocess.run(["mount", "-o", "remount,bind,ro", path], check=True)


def test_progress_of_a_wait_is_said(command: Command, guest: Start, bridge: Bridge) -> None:
    one = guest()
    command("attach", one.name, "--bridge", bridge(), "--alias", "ua-a")
    one.hold()
    answer = command("detach", one.name, "ua-a", "--wait", "0.2", code=75)
    assert answer.out.count("still holds ua-a") == 1
    process = command.start("detach", one.name, "ua-a", "--wait", "600")
    assert process.stderr is not None
    wait_until(lambda: "waiting for the guest to let go of ua-a" in process.stderr.readline(), "it to say so")  # type: ignore[union-attr]
    one.resume()
    assert finish(process).code == 0


def test_nics_of_others_are_foreign_and_can_be_detached(command: Command, guest: Start, bridge: Bridge) -> None:
    one, switch = guest(), bridge()
    one.dom.attachDeviceFlags(element(switch, "ua-theirs"), libvirt.VIR_DOMAIN_AFFECT_LIVE)
    one.dom.attachDeviceFlags(
        f"<interface type='bridge'><source bridge='{switch}'/></interface>", libvirt.VIR_DOMAIN_AFFECT_LIVE
    )
    rows: list[dict[str, Any]] = command.json("list", one.name).document["nics"]
    assert [row["origin"] for row in rows] == ["foreign", "foreign"]
    command("detach", one.name, "ua-theirs")
    command("detach", one.name, rows[1]["mac"])
    assert one.aliases() == []
    wait_until(lambda: links.members(switch) == set(), "the taps to go")
