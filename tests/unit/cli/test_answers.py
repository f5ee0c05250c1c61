"""JSON's keys, the text for people, and the exit code of everything."""

from __future__ import annotations

import os
import re
from dataclasses import fields, replace
from pathlib import Path

import click
import pytest

from tests.unit.cli.fakes import NIC as SAMPLE
from virtnetplug import errors, interruption
from virtnetplug.cli.commands import COMMANDS, root
from virtnetplug.cli.keys import KEYS
from virtnetplug.errors import Interrupted
from virtnetplug.lifecycle import State
from virtnetplug.model.audit import AuditReport
from virtnetplug.model.operation import Nic, Outcome, Refusal, Result

PAGE = Path(__file__).parents[3] / "docs" / "cli.md"
TOP = ["result", "reason", "message", "exit_code"]
NIC = [
    "domain", "domain_uuid", "alias", "mac", "type", "source", "model", "network", "portgroup", "portid", "target",
    "address", "host_address", "link_state", "live", "config", "frontend", "backend", "pending", "quarantine", "origin",
    "migrates",
]  # fmt: skip
STEP = ["seq", "name", "nic", "phase", "half", "state", "started", "seconds", "detail"]
OUTCOME = [*TOP, "operation", "domain", "operation_id", "nics", "steps", "seconds", "warnings", "enforced"]
PLAN = [*TOP, "operation", "domain", "scope", "fits", "refusals", "steps", "diff", "actual", "warnings"]
RECORD = [
    "id", "operation", "uri", "domain_uuid", "domain_name", "scope", "device_type", "state", "result", "reason",
    "error", "started", "ended", "steps",
]  # fmt: skip
FINDING = ["kind", "domain", "nic", "message", "remedy", "repair", "repaired", "network", "device"]
DEVICE = ["address", "vendor", "device", "driver", "netdev", "iommu_group", "numa_node"]
PF = [*DEVICE, "total_vfs", "num_vfs", "link_up", "pools", "problems", "vfs"]
VF = [*DEVICE, "vf_index", "state", "users", "settings", "counters", "problems"]
USER = ["view", "domain", "domain_uuid", "nic", "network", "port", "operation", "pid"]
SETTINGS = [
    "mac", "admin_mac", "vlan", "qos", "vlan_proto", "spoofchk", "trust", "min_rate", "max_rate", "link_state", "mtu",
]  # fmt: skip
CHECK = ["name", "verdict", "found", "subject", "remedy"]
IDENTITY = [
    "domain", "domain_uuid", "alias", "vif", "live", "config", "vif_live", "vif_config", "is_out", "live_element",
    "config_element",
]  # fmt: skip
TWIN = ["alias", "vif", "is_there", "is_connected", "unplug_live", "unplug_config", "why"]
CANDIDATE = ["alias", "device", "address", "rank", "why", "link_state", "is_held", "obstacle"]
ENFORCED = ["deed", "nic", "halves", "why", "result", "operation_id"]
AUDIT = [*TOP, "domains", "nics", "findings", "seconds", "unseen", "warnings"]

DOCUMENTS = {
    ("attach", "web1", "--network", "default"): OUTCOME,
    ("detach", "web1", "x"): OUTCOME,
    ("update", "web1", "x", "--mtu", "9000"): OUTCOME,
    ("handover", "web1", "--from", "x", "--to", "y"): OUTCOME,
    ("handback", "web1", "x"): OUTCOME,
    ("identity", "show"): [*TOP, "identities"],
    ("identity", "forget", "web1", "x"): OUTCOME,
    ("policy", "set", "web1", "--force-unplug", "NICS"): OUTCOME,
    ("policy", "clear", "web1"): OUTCOME,
    ("policy", "explain", "web1"): [*TOP, "domain", "unplug", "own", "host", "twins", "groups"],
    ("plan", "handover", "web1", "--from", "x", "--to-network", "pool"): PLAN,
    ("plan", "handback", "web1", "x"): PLAN,
    ("plan", "attach", "web1", "--network", "default"): PLAN,
    ("plan", "detach", "web1", "x"): PLAN,
    ("plan", "update", "web1", "x", "--mtu", "9000"): PLAN,
    ("rebind", "web1", "x", "--network", "blue"): OUTCOME,
    ("rebind", "--heal"): [*TOP, "operations", "warnings"],
    ("rebind", "web1", "x", "--vf", "auto"): OUTCOME,
    ("rebind", "--pf", "eth0", "--reload-driver"): OUTCOME,
    ("plan", "rebind", "web1", "x", "--vf", "auto"): PLAN,
    ("plan", "rebind", "--pf", "eth0", "--numvfs", "4"): PLAN,
    ("plan", "rebind", "web1", "x", "--network", "blue"): PLAN,
    ("plan", "rebind", "--heal"): [*TOP, "plans"],
    ("plan", "recover"): [*TOP, "plans"],
    ("list",): [*TOP, "nics"],
    ("show", "web1", "x"): [*TOP, "nic", "live", "config", "history"],
    ("recover",): [*TOP, "operations", "warnings"],
    ("audit",): AUDIT,
    ("devices",): [*TOP, "devices", "unseen"],
    ("doctor",): [*TOP, "fit", "checks"],
    ("history",): [*TOP, "operations"],
    ("demo",): [*TOP, "lines"],
    ("completion", "bash"): [*TOP, "shell", "script"],
    ("--version",): [*TOP, "version"],
}
ERRORS = sorted(
    (
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.VirtnetplugError)
    ),
    key=lambda error: error.__name__,
)


@pytest.mark.parametrize("words", DOCUMENTS, ids=" ".join)
def test_the_keys_of_every_document(words, run):
    ran = run(*words, "--json")
    assert _missing(list(ran.document), DOCUMENTS[words]) == []
    assert list(ran.document)[:4] == TOP
    assert ran.document["exit_code"] == ran.code
    assert ran.err == ""


def test_what_does_not_migrate_is_named_below_the_table(run, plugger):
    assert "live migration" not in run("list").out + run("show", "web1", "x").out
    plugger.nics = (replace(SAMPLE, alias="ua-vf1", migrates=False), replace(SAMPLE, migrates=True))
    last = run("list").out.splitlines()[-1]
    assert last.startswith("ua-vf1 of web1 must be detached before a live migration") and "ua-1f0c" not in last
    assert [nic["migrates"] for nic in run("list", "--json").document["nics"]] == [False, True]


def test_the_keys_within(run, samples, plugger):
    plugger.refusals = (Refusal(reason="no-free-port", message="No port is free."),)
    (nic,) = run("list", "--json").document["nics"]
    assert _missing(list(nic), NIC) == []
    assert (nic["address"], nic["frontend"], nic["mac"]) == ("0000:01:00.0", "Connected", "52:54:00:12:34:56")
    (step,) = run("attach", "web1", "--network", "a", "--json").document["steps"]
    assert _missing(list(step), STEP) == []
    (record,) = run("history", "--json").document["operations"]
    assert list(record) == RECORD
    assert record["steps"][0]["half"] == "live"
    (operation,) = run("recover", "--json").document["operations"]
    assert _missing(list(operation), OUTCOME) == []
    (plan,) = run("plan", "recover", "--json").document["plans"]
    assert _missing(list(plan), PLAN) == []
    assert list(plan["refusals"][0]) == ["reason", "message", "nic"]
    (finding,) = run("audit", "--json").document["findings"]
    assert _missing(list(finding), FINDING) == []
    assert run("show", "web1", "x", "--json").document["history"] == [record]


def test_the_keys_of_identities_and_policies(run, samples, plugger):
    plugger.enforced = (samples.enforced,)
    (identity,) = run("identity", "show", "--json").document["identities"]
    assert list(identity) == IDENTITY
    policy = run("policy", "explain", "web1", "--json").document
    assert [list(each) for each in policy["twins"]] == [TWIN]
    assert [list(each) for group in policy["groups"] for each in group] == [CANDIDATE] * 3
    assert (policy["own"], policy["groups"][0][0]["address"]) == ("present", "0000:00:05.0")
    (enforced,) = run("attach", "web1", "--network", "a", "--json").document["enforced"]
    assert list(enforced) == ENFORCED and (enforced["deed"], enforced["halves"]) == ("unplug", ["live"])


def test_every_key_is_documented():
    page = PAGE.read_text()
    keys = {
        key
        for document in (
            *DOCUMENTS.values(),
            NIC,
            STEP,
            RECORD,
            FINDING,
            PF,
            VF,
            USER,
            SETTINGS,
            CHECK,
            IDENTITY,
            TWIN,
            CANDIDATE,
            ENFORCED,
        )
        for key in document
    }
    keys |= {field.name for field in fields(Nic)} | {"undo_failures", "exposition", "listen", "files"}
    assert [key for key in sorted(keys) if f"`{key}`" not in page] == []


def test_every_command_flag_reason_and_exit_code_is_documented():
    page = PAGE.read_text()
    words = [f"| `{name}" for name in COMMANDS] + [f"`{key.name}`" for key in KEYS]
    words += [f"`{error.reason}`" for error in ERRORS] + [f"| {error.exit_code} |" for error in ERRORS]
    assert [word for word in words if word not in page] == []


def test_every_reason_that_the_source_names_is_documented():
    page = PAGE.read_text()
    source = "".join(path.read_text() for path in Path(PAGE.parents[1], "virtnetplug").rglob("*.py"))
    reasons = set(re.findall(r'\breason ?= ?f?"([a-z-]+)"', source))
    assert len(reasons) > 50
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in page] == []


def test_every_option_has_a_help_sentence():
    program = root()
    context = click.Context(program)
    commands = [program, *(program.get_command(context, name) for name in COMMANDS)]
    options = [option for command in commands for option in command.params if isinstance(option, click.Option)]
    assert [option.name for option in options if not (option.help or "").endswith((".", "…"))] == []
    assert [command.name for command in commands if not command.help or not command.epilog] == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_has_its_exit_code_and_reason(error, run, plugger):
    plugger.raises = error("Something is wrong; change it.")
    ran = run("detach", "web1", "x")
    assert ran.code == error.exit_code
    assert ran.err == f"virtnetplug: Something is wrong; change it. [{error.reason}]\n"
    assert ran.out == ""
    ran = run("detach", "web1", "x", "--json")
    assert ran.code == error.exit_code
    assert list(ran.document) == [*TOP, "undo_failures", "warnings"]
    assert (ran.document["reason"], ran.document["exit_code"]) == (error.reason, error.exit_code)
    results = {2: "usage", 3: "refused", 4: "undone", 5: "incomplete", 70: "failed", 75: "pending", 130: "interrupted"}
    assert ran.document["result"] == (error.result or results[error.exit_code])
    assert ran.err == ""


def test_an_error_at_connecting(run, wiring):
    wiring.open_raises = errors.ConnectionFailed("Nobody answers.")
    assert run("list").code == 3


def test_undo_failures_are_said(run, plugger):
    plugger.raises = errors.incomplete_from(
        errors.HypervisorFailed("It failed."), ["the tap is left", "the port is left"]
    )
    ran = run("attach", "web1", "--network", "a")
    assert ran.code == 5
    assert ran.err.splitlines()[1:] == ["  not undone: the tap is left", "  not undone: the port is left"]
    ran = run("attach", "web1", "--network", "a", "--json")
    assert ran.document["undo_failures"] == ["the tap is left", "the port is left"]


def test_a_refusal_while_planning_is_a_plan_that_does_not_fit(run, plugger):
    plugger.raises = errors.DomainMissing("There is no domain web1.")
    ran = run("plan", "attach", "web1", "--network", "a", "--json")
    assert (ran.code, ran.document["reason"], ran.document["fits"]) == (3, "domain-missing", False)
    assert list(ran.document) == PLAN
    assert "would be refused" in run("plan", "attach", "web1", "--network", "a").out


def test_an_internal_error_is_a_paragraph_and_a_traceback_only_at_vv(run, plugger):
    plugger.raises = ValueError("deep inside")
    ran = run("list")
    assert ran.code == 70
    assert "This is a bug in virtnetplug (ValueError: deep inside)" in ran.err
    assert "-vv" in ran.err
    assert "Traceback" not in ran.err + ran.out
    assert "Traceback" not in run("list", "-v").err
    assert "Traceback" in run("list", "-vv").err
    ran = run("list", "--json")
    assert (ran.code, ran.document["reason"]) == (70, "internal")


@pytest.mark.parametrize("word", ["list", "detach web1 x"])
def test_an_interrupt_is_130(word, run, plugger):
    plugger.raises = KeyboardInterrupt()
    ran = run(*word.split())
    assert ran.code == 130
    assert ("virtnetplug recover" in ran.err) == (word != "list")
    assert run(*word.split(), "--json").document["result"] == "interrupted"


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_while_nothing_is_changed_ends_the_command(number, run, plugger):
    plugger.while_running = lambda: os.kill(os.getpid(), number)
    ran = run("list")
    assert ran.code == 128 + number and "nothing was touched" in ran.err
    document = run("list", "--json").document
    assert (document["result"], document["exit_code"]) == ("interrupted", 128 + number)


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_a_signal_that_finds_the_operation_done_changes_no_answer(number, run, plugger):
    plugger.while_running = lambda: os.kill(os.getpid(), number)
    ran = run("detach", "web1", "x")
    assert ran.code == 0 and f"{number.name} came when" in ran.err
    document = run("detach", "web1", "x", "--json").document
    assert (document["result"], document["exit_code"]) == ("done", 0)


@pytest.mark.parametrize("number", interruption.SIGNALS)
def test_an_interrupted_operation_has_the_exit_code_of_its_signal(number, run, plugger):
    plugger.raises = Interrupted("The detach on web1 was interrupted.", signal=number)
    assert run("detach", "web1", "x").code == 128 + number
    document = run("detach", "web1", "x", "--json").document
    assert (document["result"], document["reason"]) == ("interrupted", "interrupted")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lisst",), "Did you mean list"),
        (("attach",), "DOMAIN"),
        (("attach", "web1", "--netwrok", "a"), "--network"),
        (("plan", "list"), "no command 'list'"),
        (("show", "web1"), "NIC"),
        (("detach", "web1"), "NIC"),
        (("history", "--limit", "0"), "--limit"),
        (("completion", "tcsh"), "tcsh"),
        (("serve", "--listen", "nowhere"), "host:port"),
        (("serve", "--listen", "::1:99"), "host:port"),
        (("serve", "--listen", "a:70000"), "host:port"),
    ],
)
def test_usage(words, said, run, wiring):
    ran = run(*words)
    assert ran.code == 2
    assert said in ran.err
    assert ran.out == ""
    assert "Traceback" not in ran.err
    ran = run(*words, "--json")
    assert (ran.code, ran.document["result"], ran.err) == (2, "usage", "")
    assert wiring.opened == []


def test_no_command_shows_the_help(run):
    ran = run()
    assert ran.code == 2
    assert ran.err.startswith("Usage: virtnetplug")
    assert run("--json").document["result"] == "usage"


def test_a_pending_detach(run, plugger, samples):
    plugger.result = Result.PENDING
    plugger.nics = (replace(samples.nic, pending="op-1", frontend=State.CLOSING),)
    ran = run("detach", "web1", "ua-1f0c", "--wait", "0")
    assert ran.code == 75
    for said in ("still holds ua-1f0c", "journal keeps", "virtnetplug recover --wait", "reset"):
        assert said in ran.out
    ran = run("detach", "web1", "ua-1f0c", "--wait", "0", "--json")
    assert (ran.code, ran.document["result"]) == (75, "pending")
    assert "virtnetplug recover" in ran.document["message"]
    assert "Closing (pending)" in run("list").out


@pytest.mark.parametrize(
    ("result", "code"), [("done", 0), ("already", 0), ("pending", 75), ("undone", 4), ("incomplete", 5), ("refused", 3)]
)
def test_the_exit_code_of_an_outcome(result, code, run, plugger):
    plugger.result = Result(result)
    ran = run("attach", "web1", "--network", "a", "--json")
    assert (ran.code, ran.document["result"], ran.document["exit_code"]) == (code, result, code)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ((), 0), (("done", "undone", "already"), 0), (("done", "pending"), 75), (("pending", "incomplete"), 5),
        (("refused", "done"), 3), (("refused", "pending"), 75),
    ],
)  # fmt: skip
def test_the_exit_code_of_recover_is_the_worst(results, code, run, plugger):
    plugger.outcomes = tuple(Outcome(operation="detach", domain="web1", result=Result(result)) for result in results)
    ran = run("recover", "--json")
    assert (ran.code, ran.document["exit_code"], len(ran.document["operations"])) == (code, code, len(results))
    assert run("recover").code == code


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ((), 0),
        (("done", "already"), 0),
        (("done", "refused"), 3),
        (("refused", "undone"), 4),
        (("undone", "incomplete"), 5),
    ],
)
def test_the_exit_code_of_a_healing_is_the_worst(results, code, run, plugger):
    plugger.outcomes = tuple(
        Outcome(
            operation="rebind", domain="web1", result=Result(result), reason=f"why-{result}", message=f"It is {result}."
        )
        for result in results
    )
    ran = run("rebind", "--heal", "--json")
    assert (ran.code, ran.document["exit_code"], len(ran.document["operations"])) == (code, code, len(results))
    assert ran.document["reason"] == ("" if code == 0 else f"why-{results[-1]}")
    text = run("rebind", "--heal").out
    assert text == ("".join(f"{result}: It is {result}.\n" for result in results) or "no NIC is cut off\n")


def test_recover_says_each_result_once(run, plugger):
    waits = Outcome(
        operation="detach", domain="web1", result=Result.PENDING, operation_id="op1", message="pending: it holds."
    )
    plugger.outcomes = (waits,)
    assert run("recover").out == "detach on web1 (op1): pending: it holds.\n"


def test_warnings_go_to_standard_error_or_into_the_document(run, plugger):
    plugger.warnings = ("the alias was changed",)
    ran = run("attach", "web1", "--network", "a")
    assert ran.err == "virtnetplug: warning: the alias was changed\n"
    ran = run("attach", "web1", "--network", "a", "--json")
    assert (ran.err, ran.document["warnings"]) == ("", ["the alias was changed"])


@pytest.mark.parametrize("error", [None, errors.HypervisorFailed("It failed.")], ids=["answers", "fails"])
@pytest.mark.parametrize(
    "words",
    [
        ("recover",), ("attach", "web1", "--network", "a"), ("rebind", "--heal"), ("audit", "--repair"), ("list",),
        ("recover", "--plan"), ("attach", "web1", "--network", "a", "--plan"), ("policy", "clear", "web1"),
    ],
    ids=lambda words: " ".join(words[:1] + words[-1:]),
)  # fmt: skip
def test_a_warning_that_is_of_no_outcome_is_said_as_any_other(words, error, run, plugger):
    """Every command says it, also one that fails: what a guest carries that this journal does not have."""
    plugger.published, plugger.raises = ("another journal keeps it",), error
    failed = "" if error is None else f"virtnetplug: {error.message} [{error.reason}]\n"
    assert run(*words).err == "virtnetplug: warning: another journal keeps it\n" + failed
    ran = run(*words, "--json")
    assert (ran.err, ran.document["warnings"]) == ("", ["another journal keeps it"])


@pytest.mark.parametrize("words", [("recover",), ("rebind", "--heal")], ids=lambda words: words[0])
def test_warnings_of_several_operations_are_said(words, run, plugger):
    one = Outcome(operation="heal", domain="web1", result=Result.DONE, warnings=("a filter is missing",))
    plugger.outcomes, plugger.published = (one, one), ("a filter is missing", "another journal keeps it")
    said = [f"virtnetplug: warning: {text}" for text in ("another journal keeps it", "a filter is missing")]
    assert run(*words).err.splitlines() == said
    document = run(*words, "--json").document
    assert document["warnings"] == ["another journal keeps it"]
    assert [operation["warnings"] for operation in document["operations"]] == [["a filter is missing"]] * 2


def test_a_warning_that_was_published_is_said_once(run, plugger):
    plugger.warnings = plugger.published = ("the alias was changed",)
    assert run("attach", "web1", "--network", "a").err.count("the alias was changed") == 1


def test_list_for_people(run, plugger, samples):
    plugger.nics = (samples.nic, replace(samples.nic, alias=None, config=False, target=None, address=None))
    heading, first, second = run("list").out.splitlines()
    assert " ".join(heading.split()) == (
        "DOMAIN ALIAS MAC TYPE SOURCE MODEL TARGET ADDRESS LINK SCOPE FRONTEND BACKEND"
    )
    assert " ".join(first.split()) == (
        "web1 ua-1f0c 52:54:00:12:34:56 network default virtio vnet3 0000:01:00.0 up both Connected Connected"
    )
    assert " ".join(second.split()) == (
        "web1 - 52:54:00:12:34:56 network default virtio - - up live Connected Connected"
    )
    assert first.index("52:54") == heading.index("MAC") == second.index("52:54")
    plugger.nics = ()
    assert run("list").out == "no NICs\n"


def test_show_for_people(run, plugger):
    ran = run("show", "web1", "x")
    for said in ("ua-1f0c", "<live/>", "<config/>", "op-1", "2023-11-1"):
        assert said in ran.out
    assert run("show", "web1", "x", "--xml").out == plugger.detail.live + "\n"
    plugger.detail.live = None
    assert run("show", "web1", "x", "--xml").out == plugger.detail.config + "\n"


def test_audit_for_people(run, plugger):
    ran = run("audit")
    assert "web1/ua-1f0c: tap-not-in-bridge: vnet3 is not in virbr0." in ran.out
    assert "Put it back." in ran.out
    assert "1 NICs of 1 domains" in ran.out
    assert "--repair would: put vnet3 into virbr0" in run("audit", "--plan").out
    assert "1 repaired" in run("audit", "--repair").out
    plugger.report = AuditReport(domains=0, nics=0, findings=(), seconds=0.0, unseen=("taps of web2: not permitted",))
    ran = run("audit")
    assert (ran.code, "not looked at: taps of web2" in ran.out) == (0, True)
    assert "all views agree, as far as they were looked at" in ran.out


def test_plans_for_people(run, plugger):
    ran = run("plan", "detach", "web1", "x")
    for said in ("would be done", " 1. attach ua-1f0c [live]", "+<interface/>"):
        assert said in ran.out
    plugger.refusals = (Refusal(reason="no-free-port", message="No port is free.", nic="ua-9"),)
    ran = run("plan", "detach", "web1", "x")
    assert (ran.code, "refused: ua-9: No port is free. [no-free-port]" in ran.out) == (3, True)


def test_names_cannot_drive_the_terminal(run, plugger, samples):
    plugger.nics = (replace(samples.nic, domain="\x1b[2Jweb\n1"),)
    out = run("list").out
    assert "\x1b" not in out
    assert out.count("\n") == 2
    plugger.raises = errors.DomainMissing("There is no \x1b[2J.")
    assert "\x1b" not in run("list").err


def _missing(found: list[str], expected: list[str]) -> list[str]:
    """What was promised and is not there; keys may be added, never taken away or renamed."""
    return [key for key in expected if key not in found]


def test_the_keys_of_devices(run):
    (pf,) = run("devices", "--json").document["devices"]
    (vf,) = pf["vfs"]
    assert (list(pf), list(vf), list(vf["settings"])) == (PF, VF, SETTINGS)
    assert [list(user) for user in vf["users"]] == [USER, USER]
    assert (vf["address"], vf["state"], vf["users"][0]["domain"]) == ("0000:01:10.0", "attached", "web1")
    assert (pf["pools"], pf["link_up"], vf["settings"]["link_state"]) == (["vfs"], True, None)


def test_devices_are_a_tree(run, wiring):
    ran = run("devices")
    assert ran.code == 0 and wiring.opened[0][2] is True, "only a look"
    pf, vf, settings, problem, unseen = ran.out.splitlines()
    assert pf == "0000:01:00.0  eth0  igb  8086:10c9  link up  group 4  node 0  VFs 1 of 7  pools: vfs"
    assert vf == "└─ 0  0000:01:10.0  -  vfio-pci  group 5  node 0  attached: web1 ua-1f0c, process 77"
    assert "vlan 7 qos 0 802.1Q" in settings and "spoofchk on" in settings and "trust" not in settings
    assert problem.endswith("! it is\\x1b[31m ill"), "what comes from outside does not drive the terminal"
    assert unseen == "not looked at: processes: root sees them"


def test_the_doctor_says_what_is_missing_and_exits_with_it(run, wiring, samples):
    ran = run("doctor", "-c", "qemu:///system")
    assert (ran.code, wiring.doctored, wiring.opened) == (0, ["qemu:///system"], [])
    assert ran.out.splitlines() == [
        "ok       iommu: on: 9 groups",
        "warning  link 0000:01:00.0 (eth0): down",
        "         → Pull it up.",
        "fit for SR-IOV hot-plug",
    ]
    assert [list(check) for check in run("doctor", "--json").document["checks"]] == [CHECK, CHECK]
    wiring.diagnosis = samples.unfit
    assert run("doctor").code == 1
    document = run("doctor", "--json").document
    assert [document[key] for key in TOP] == ["unfit", "host-unfit", "not fit for SR-IOV hot-plug: vfio", 1]
    assert document["fit"] is False
