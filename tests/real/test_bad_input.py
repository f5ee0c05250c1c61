"""Whatever is handed in: one paragraph that says what to change, its own reason, and nothing touched."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import libvirt
import pytest

from tests.real import guests, links, namespace
from tests.real.command import PROGRAM, Answer, Command, finish
from tests.real.daemon import Daemon
from tests.real.guests import Guest

pytestmark = pytest.mark.driver("daemon")

Start = Callable[..., Guest]
Bridge = Callable[..., str]
Network = Callable[..., libvirt.virNetwork]

LAUGHS = (
    '<?xml version="1.0"?><!DOCTYPE interface [<!ENTITY a "haha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]><interface type='bridge'><source bridge='&i;'/></interface>"
)


@dataclass
class Scene:
    """A guest with one NIC, and everything that a refused request must leave alone."""

    command: Command
    guest: Guest
    bridge: str

    def state(self) -> tuple[object, ...]:
        dom = self.guest.dom
        return (
            dom.XMLDesc(),
            dom.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE),
            {name: links.members(self.bridge) for name in os.listdir("/sys/class/net")},
            open_operations(self.command.state),
        )

    def refused(self, *words: str, reason: str, code: int = 3, stdin: str | bytes = b"") -> str:
        """Run it for a person and for a program; gives the message."""
        before = self.state()
        answer = self.command(*words, code=code, stdin=stdin)
        assert answer.out == "" and is_a_paragraph(answer), answer
        assert answer.said.rstrip().endswith(f"[{reason}]"), answer.err
        document = self.command.json(*words, code=code, stdin=stdin).document
        assert (document["reason"], document["exit_code"]) == (reason, code), document
        assert self.state() == before
        return str(document["message"])


def open_operations(state: Path) -> list[object]:
    if not (state / "journal.db").exists() or not (state / "journal.db").stat().st_size:
        return []
    with tempfile.TemporaryDirectory() as copy:  # reading makes files beside it, and it may be read-only
        for file in state.glob("journal.db*"):
            shutil.copy(file, copy)
        with closing(sqlite3.connect(Path(copy) / "journal.db")) as journal:
            rows = journal.execute("SELECT id FROM operations WHERE state IN ('running', 'pending', 'incomplete')")
            return rows.fetchall()


def is_a_paragraph(answer: Answer) -> bool:
    lines = answer.said.removesuffix("\n").split("\n")
    return len(lines) == 1 and lines[0].startswith("virtnetplug: ") and "Traceback" not in answer.err


def made_of(command: Command, one: Guest, switch: str) -> Scene:
    command("attach", one.name, "--bridge", switch, "--alias", "ua-there", "--mac", "52:54:00:bb:00:01", "--persistent")
    return Scene(command, one, switch)


@pytest.fixture(scope="module")
def scene(libvirtd: Daemon) -> Iterator[Scene]:
    """One for all that is refused: each refusal is seen to leave it as it was."""
    place = namespace.PLACE / "refused"
    place.mkdir(exist_ok=True)
    connection = libvirt.open(libvirtd.uri)
    command = Command(libvirtd.uri, place / "state")
    with links.bridge() as switch:
        one = guests.start(connection, place, name="refused")
        yield made_of(command, one, switch)
        guests.remove(connection, [one.uuid])
    command.close()


@pytest.fixture
def own_scene(command: Command, guest: Start, bridge: Bridge) -> Scene:
    """One for a test that changes it."""
    return made_of(command, guest(), bridge())


def nic(inside: str = "<source bridge='BRIDGE'/>", kind: str = "bridge") -> str:
    return f"<interface type='{kind}'>{inside}</interface>"


DOCUMENTS = {
    "dtd": ("<!DOCTYPE interface>\n" + nic(), "xml-unsafe", "<!DOCTYPE"),
    "external entity": (
        '<!DOCTYPE i [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + nic("<source bridge='&x;'/>"),
        "xml-unsafe",
        "remove the line",
    ),
    "billion laughs": (LAUGHS, "xml-unsafe", "<!ENTITY"),
    "an entity nobody declared": (nic("<source bridge='&br;'/>"), "xml-unsafe", "write the characters themselves"),
    "wrong root": (f"<domain>{nic()}</domain>", "xml-invalid", "root is <domain>"),
    "another device": ("<disk type='file'/>", "xml-invalid", "root is <disk>"),
    "not closed": ("<interface type='bridge'>\n<source", "xml-invalid", "line 2"),
    "empty": ("", "xml-invalid", "no XML in it"),
    "words": ("please attach a NIC", "xml-invalid", "well-formed"),
    "type unknown": (nic(kind="quantum"), "interface-type-unknown", "bridge"),
    "no type": ("<interface><source bridge='BRIDGE'/></interface>", "interface-type-unknown", "no type"),
    "multicast mac": (nic("<mac address='01:00:5e:00:00:01'/><source bridge='BRIDGE'/>"), "mac-invalid", "multicast"),
    "mac that is none": (nic("<mac address='fish'/><source bridge='BRIDGE'/>"), "mac-invalid", "fish"),
    "pci slot out of range": (
        nic("<source bridge='BRIDGE'/><address type='pci' domain='0' bus='0' slot='0x20' function='0'/>"),
        "pci-address-invalid",
        "0x20",
    ),
    "pci function out of range": (
        nic("<source bridge='BRIDGE'/><address type='pci' domain='0' bus='0' slot='5' function='8'/>"),
        "pci-address-invalid",
        "8",
    ),
    "refused by the schema": (
        "<interface type='bridge'>\n<source bridge='BRIDGE'/>\n<moddel type='virtio'/>\n</interface>",
        "xml-invalid",
        "line 3",
    ),
    "value refused by the schema": (
        "<interface type='bridge'>\n<source bridge='BRIDGE'/>\n<link state='sideways'/>\n</interface>",
        "xml-invalid",
        "line 3",
    ),
    "control character": (nic("<source bridge='br\x01'/>"), "xml-invalid", "character"),
    "shell in the alias": (nic("<source bridge='BRIDGE'/><alias name='ua-$(reboot)'/>"), "xml-invalid", "alias"),
    "alias of libvirt's own": (nic("<source bridge='BRIDGE'/><alias name='net7'/>"), "alias-prefix", "ua-net7"),
    "missing bridge": (nic("<source bridge='nosuch0'/>"), "bridge-missing", "ip link add nosuch0"),
    "a link that is no bridge": (nic("<source bridge='lo'/>"), "bridge-missing", "no bridge"),
    "missing network": (nic("<source network='nosuch'/>", "network"), "network-missing", "nosuch"),
    "host PCI device": (
        nic("<source><address type='pci' domain='0' bus='0' slot='1' function='0'/></source>", "hostdev"),
        "host-device-unfit",
        "no VF",
    ),
}


@pytest.mark.parametrize("case", DOCUMENTS)
def test_document(scene: Scene, case: str) -> None:
    text, reason, said = DOCUMENTS[case]
    message = scene.refused(
        "attach", scene.guest.name, "--xml", "-", reason=reason, stdin=text.replace("BRIDGE", scene.bridge)
    )
    assert said in message, message
    assert "RELAX" not in message and "Did not expect" not in message, "libxml2's words are not a person's"


def test_bytes_that_are_no_text(scene: Scene) -> None:
    text = nic().replace("BRIDGE", scene.bridge).encode()
    words = ("attach", scene.guest.name, "--xml", "-")
    assert "UTF-8" in scene.refused(*words, reason="xml-invalid", stdin=text.replace(b"source", b"so\xffrce"))
    assert "UTF-8" in scene.refused(*words, reason="xml-invalid", stdin=text.decode().encode("utf-16"))
    latin = b"<?xml version='1.0' encoding='latin-1'?>" + text.replace(b"bridge='b", b"bridge='\xe9")
    assert "UTF-8" in scene.refused(*words, reason="xml-invalid", stdin=latin)


def test_a_document_of_100_mb_is_not_even_read(scene: Scene, place: Path) -> None:
    huge = place / "huge.xml"
    with huge.open("wb") as file:
        file.write(b"<interface type='bridge'>")
        file.truncate(100 << 20)
    message = scene.refused("attach", scene.guest.name, "--xml", str(huge), reason="xml-too-large")
    assert "1024 KiB" in message
    # From a pipe: what is not read is still in it.
    process = subprocess.Popen(
        scene.command.words("attach", scene.guest.name, "--xml", "-"), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None and process.stderr is not None
    written = 0
    with process, suppress(BrokenPipeError):
        while written < 100 << 20:
            written += os.write(process.stdin.fileno(), b" " * 65536)
    assert process.returncode == 3
    assert written < 2 << 20, "it read on after it knew"


FLAGS = {
    "multicast mac": (("--bridge", "BRIDGE", "--mac", "01:00:5e:00:00:01"), "mac-invalid", 3, "multicast"),
    "broadcast mac": (("--bridge", "BRIDGE", "--mac", "ff:ff:ff:ff:ff:ff"), "mac-invalid", 3, "multicast"),
    "pci out of range": (("--bridge", "BRIDGE", "--address", "0000:00:20.0"), "pci-address-invalid", 3, "20"),
    "pci address that is taken": (
        ("--bridge", "BRIDGE", "--address", "0000:00:10.0"),
        "pci-address-in-use",
        3,
        "Leave the address out",
    ),
    "pci bus that is not there": (("--bridge", "BRIDGE", "--address", "0000:09:01.0"), "no-such-bus", 3, "0x00"),
    "type of a newer libvirt": (("--type", "vds"), "xml-invalid", 3, ""),
    "type of none": (("--type", "quantum"), "usage", 2, "quantum"),
    "unknown model": (("--bridge", "BRIDGE", "--model", "e1000x"), "model-unknown", 3, "did you mean e1000"),
    "duplicate mac": (("--bridge", "nosuch0", "--mac", "52:54:00:BB:00:01"), "duplicate-mac", 3, "ua-there"),
    "duplicate alias": (("--bridge", "nosuch0", "--alias", "ua-there"), "duplicate-alias", 3, "ua-there"),
    "alias without ua-": (("--bridge", "BRIDGE", "--alias", "mine"), "alias-prefix", 3, "ua-mine"),
    "shell in the alias": (("--bridge", "BRIDGE", "--alias", "ua-`id`;$(reboot)"), "xml-invalid", 3, "alias"),
    "shell in the bridge": (("--bridge", "br0;reboot"), "xml-invalid", 3, "br0;reboot"),
    "a way out in the bridge": (("--bridge", "../../etc/passwd"), "bridge-missing", 3, "passwd"),
    "an option as the bridge": (("--bridge", "--help"), "bridge-missing", 3, "--help"),
    "long bridge": (("--bridge", "b" * 4000), "bridge-missing", 3, "b"),
    "control character in the bridge": (("--bridge", "br\x1b[2J\n0"), "xml-invalid", 3, "bridge"),
    "not UTF-8 in the alias": (("--bridge", "BRIDGE", "--alias", "ua-\udcff"), "xml-invalid", 3, "alias"),
    "quotes and brackets": (("--bridge", "'\"><x/>&amp;"), "xml-invalid", 3, "<x/>"),
    "missing network": (("--network", "nosuch"), "network-missing", 3, "nosuch"),
    "shell in the network": (("--network", "$(reboot)"), "network-missing", 3, "$(reboot)"),
    "no source": (("--model", "virtio"), "usage", 2, "--network"),
    "no direct link": (("--dev", "nosuch0"), "link-missing", 3, "nosuch0"),
    "too many NICs": (("--nic", "bridge=BRIDGE") * 65, "usage", 2, "64"),
    "too few places": (("--nic", "bridge=BRIDGE,model=virtio") * 40, "no-free-port", 3, "PCI slots"),
}


@pytest.mark.parametrize("case", FLAGS)
def test_flags(scene: Scene, case: str) -> None:
    flags, reason, code, said = FLAGS[case]
    words = [word.replace("BRIDGE", scene.bridge) for word in flags]
    message = scene.refused("attach", scene.guest.name, *words, reason=reason, code=code)
    assert said in message, message
    assert len(message) < 3000, "a name that long is not repeated whole"


@pytest.mark.parametrize(
    "name",
    ["nosuch", "", " ", "../x", "a'b", "$(reboot)", "x\n y\x1b[31m", "d" * 5000, "\udcff", "99999999999999999999"],
)
def test_a_domain_that_does_not_exist(scene: Scene, name: str) -> None:
    message = scene.refused("attach", "--bridge", scene.bridge, "--", name, reason="domain-missing")
    assert "virtnetplug -c qemu:///system list" in message and len(message) < 3000
    for words in (("list",), ("recover",), ("audit",), ("detach",)):
        scene.refused(words[0], "--", name, *(("ua-x",) if words[0] == "detach" else ()), reason="domain-missing")


@pytest.mark.parametrize(
    "name", ["ua-nosuch", "00:00:00:00:00:00", "0000:00:1f.7", "", "x" * 5000, "\x1b]0;", "\udcff"]
)
def test_a_nic_that_does_not_exist(scene: Scene, name: str) -> None:
    message = scene.refused("detach", scene.guest.name, "--", name, reason="nic-missing")
    assert "ua-there" in message and len(message) < 3000
    scene.refused("update", scene.guest.name, "--link", "down", "--", name, reason="nic-missing")
    scene.refused("show", scene.guest.name, "--", name, reason="nic-missing")


def test_inactive_network_and_unknown_portgroup(scene: Scene, network: Network) -> None:
    off, on = network("isolated", active=False).name(), network("isolated").name()
    words = ("attach", scene.guest.name, "--network")
    assert f"virsh net-start {off}" in scene.refused(*words, off, reason="network-inactive")
    assert "portgroup" in scene.refused(*words, on, "--portgroup", "blue", reason="portgroup-missing")


def test_updates(scene: Scene) -> None:
    name = scene.guest.name
    for flags, reason, code in (
        (("--mac", "01:00:5e:00:00:01"), "mac-invalid", 3),
        (("--link", "sideways"), "usage", 2),
        (("--bridge", "nosuch0"), "bridge-missing", 3),
        (("--network", "nosuch"), "network-missing", 3),
        (("--mtu", "9000"), "needs-replace", 3),
        ((), "usage", 2),
        (("--model", "e1000x", "--replace"), "model-unknown", 3),
        (("--address", "0000:00:10.0", "--replace"), "pci-address-in-use", 3),
        (("--alias", "ua-x"), "usage", 2),
    ):
        scene.refused("update", name, "ua-there", *flags, reason=reason, code=code)
    for text, reason in (
        (LAUGHS, "xml-unsafe"),
        ("<domain/>", "xml-invalid"),
        (nic("<source bridge='nosuch0'/>"), "bridge-missing"),
    ):
        scene.refused("update", name, "ua-there", "--xml", "-", "--replace", reason=reason, stdin=text)


@pytest.mark.parametrize(
    "address",
    [
        "qemu+unix:///system?socket=/nosuch",
        "nosuch:///system",
        "qemu+tcp://127.0.0.1:1/system",
        "qemu:///nosuch",
        "not a uri",
        "\udcff:///",
        "q" * 5000,
    ],
)
def test_a_hypervisor_that_does_not_answer(scene: Scene, address: str) -> None:
    before = scene.state()
    other = Command(address, scene.command.state)
    for words in (("list",), ("attach", scene.guest.name, "--bridge", scene.bridge), ("recover",), ("audit",)):
        document = other.json(*words, code=3).document
        assert document["reason"] == "connection-failed" and len(document["message"]) < 3000
        assert is_a_paragraph(other(*words, code=3))
    assert scene.state() == before


def test_a_file_that_cannot_be_read(scene: Scene, place: Path) -> None:
    words = ("attach", scene.guest.name, "--xml")
    scene.refused(*words, str(place / "nosuch.xml"), reason="usage", code=2)
    scene.refused(*words, str(place), reason="usage", code=2)
    scene.refused(*words, "nul\udcff", reason="usage", code=2)


# -- the journal ---------------------------------------------------------------------------------


@pytest.fixture
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of its own with next to no room."""
    path = place / "disk"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", "--lazy", path], check=True)


def fill(path: Path) -> None:
    with (path / "rubbish").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"\0" * 4096)


def test_a_full_disk_under_the_journal(own_scene: Scene, small_disk: Path) -> None:
    fresh = small_disk / "fresh"
    used = small_disk / "used"
    other = Scene(Command(own_scene.command.uri, used), own_scene.guest, own_scene.bridge)
    other.command("attach", own_scene.guest.name, "--bridge", own_scene.bridge, "--alias", "ua-a")
    fill(small_disk)
    for state in (fresh, used):
        full = Scene(Command(own_scene.command.uri, state), own_scene.guest, own_scene.bridge)
        message = full.refused("attach", own_scene.guest.name, "--bridge", own_scene.bridge, reason="journal-full")
        assert "disk" in message and "Free some space" in message
        full.refused("detach", own_scene.guest.name, "ua-there", reason="journal-full")
        assert "ua-there" in full.command("list", own_scene.guest.name).out
    (small_disk / "rubbish").unlink()
    other.command("detach", own_scene.guest.name, "ua-a")
    assert own_scene.guest.aliases() == ["ua-there"]


def test_a_disk_that_fills_up_while_the_guest_is_waited_for(own_scene: Scene, small_disk: Path) -> None:
    one = Command(own_scene.command.uri, small_disk / "state")
    one("attach", own_scene.guest.name, "--bridge", own_scene.bridge, "--alias", "ua-a")
    own_scene.guest.hold()
    for seconds in itertools.count(3, 10):
        process = one.start("detach", own_scene.guest.name, "ua-a", "--wait", str(seconds), "-v")
        assert process.stderr is not None
        for line in process.stderr:
            if "waiting for the guest" in line:
                break
        fill(small_disk)
        is_in_time = process.poll() is None
        answer = finish(process)
        (small_disk / "rubbish").unlink()
        if is_in_time:
            break
    assert answer.code in (3, 4, 5), answer
    assert "Traceback" not in answer.err
    own_scene.guest.resume()
    one("recover", "--wait", "600")
    assert own_scene.guest.aliases() == ["ua-there"] and open_operations(one.state) == []


def test_a_journal_of_a_newer_version(own_scene: Scene) -> None:
    with closing(sqlite3.connect(own_scene.command.state / "journal.db")) as journal:
        journal.execute("PRAGMA user_version = 4711")
    words = ("attach", own_scene.guest.name, "--bridge", own_scene.bridge)
    message = own_scene.refused(*words, reason="journal-newer")
    assert "4711" in message or "newer" in message
    own_scene.refused("history", reason="journal-newer")
    own_scene.refused("metrics", reason="journal-newer")


def test_a_journal_that_is_none(scene: Scene, place: Path) -> None:
    garbage = place / "garbage"
    garbage.mkdir()
    (garbage / "journal.db").write_bytes(b"This is no database. " * 400)
    broken = Command(scene.command.uri, garbage)
    before = scene.state()
    words = ("attach", scene.guest.name, "--bridge", scene.bridge)
    answer = broken.json(*words, code=3).document
    assert answer["reason"] == "journal-broken" and "Move it away" in answer["message"]
    assert is_a_paragraph(broken(*words, code=3)) and is_a_paragraph(broken("history", code=3))
    assert scene.state() == before
    a_file = place / "file"
    a_file.write_text("")
    assert Command(scene.command.uri, a_file).json(*words, code=3).document["reason"] == "journal-broken"


def test_a_read_only_journal(own_scene: Scene, request: pytest.FixtureRequest) -> None:
    state = own_scene.command.state
    subprocess.run(["mount", "--bind", state, state], check=True)
    request.addfinalizer(lambda: subprocess.run(["umount", state], check=True))
    subprocess.run(["mount", "-o", "remount,bind,ro", state], check=True)
    words = ("attach", own_scene.guest.name, "--bridge", own_scene.bridge)
    assert "reading (list, show, history, metrics) still works" in own_scene.refused(*words, reason="journal-read-only")
    own_scene.refused("recover", reason="journal-read-only")
    assert "ua-there" in own_scene.command("list").out


def test_a_state_directory_that_cannot_be_made(scene: Scene) -> None:
    for path in ("/proc/nosuch", "/dev/null/x", "/" + "a" * 5000):
        one = Command(scene.command.uri, Path(path))
        answer = one.run("attach", scene.guest.name, "--bridge", scene.bridge, "--json")
        assert (answer.code, answer.document["reason"]) in ((3, "journal-broken"), (3, "journal-read-only")), answer


def test_no_arguments_at_all() -> None:
    done = subprocess.run([PROGRAM], capture_output=True, text=True)
    assert done.returncode == 2 and "Usage" in done.stderr
