"""The taps of QEMU processes, from a /proc made here."""

from __future__ import annotations

from pathlib import Path

from virtnetplug.adapters.linux.links import LinuxLinks

ONE = "11111111-1b7c-4f7e-9d2a-3c5b8a7f9e10"
TWO = "22222222-1b7c-4f7e-9d2a-3c5b8a7f9e10"


def process(proc: Path, pid: int, *command: str, descriptors: dict[int, tuple[str, str]] | None = None) -> Path:
    """`descriptors` maps a number to what it links to, and the text of its fdinfo."""
    folder = proc / str(pid)
    folder.mkdir()
    (folder / "cmdline").write_bytes(b"".join(word.encode() + b"\0" for word in command))
    if descriptors is not None:
        (folder / "fd").mkdir()
        (folder / "fdinfo").mkdir()
        for number, (target, text) in descriptors.items():
            (folder / "fd" / str(number)).symlink_to(target)
            (folder / "fdinfo" / str(number)).write_text(text)
    return folder


def tun(name: str) -> tuple[str, str]:
    return ("/dev/net/tun", f"pos:\t0\nflags:\t0104002\nmnt_id:\t25\nino:\t124\niff:\t{name}\n")


def test_each_domain_has_the_taps_its_qemu_holds(tmp_path: Path) -> None:
    kvm = ("/dev/kvm", "pos:\t0\niff:\tnot-a-tap\n")
    process(tmp_path, 10, "qemu-system-x86_64", "-uuid", ONE, descriptors={3: tun("vnet0"), 4: tun("vnet1"), 5: kvm})
    process(tmp_path, 11, "qemu-system-x86_64", "-uuid", TWO.upper(), "-S", descriptors={9: tun("vnet2")})
    process(tmp_path, 12, "openvpn", descriptors={3: tun("tun0")})
    (tmp_path / "meminfo").write_text("not a process")
    host = LinuxLinks(proc=tmp_path)
    assert host.taps_by_domain() == {ONE: {"vnet0", "vnet1"}, TWO: {"vnet2"}}
    assert host.taps_of(ONE.upper()) == {"vnet0", "vnet1"}


def test_a_qemu_without_taps_is_seen_and_one_that_may_not_be_read_is_not(tmp_path: Path) -> None:
    process(tmp_path, 10, "qemu", "-uuid", ONE, descriptors={})
    process(tmp_path, 11, "qemu", "-uuid", TWO)  # no fd directory: as for another user's process
    host = LinuxLinks(proc=tmp_path)
    assert host.taps_by_domain() == {ONE: frozenset()}
    assert host.taps_of(TWO) == frozenset()


def test_processes_that_go_or_have_odd_command_lines_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "9").mkdir()
    process(tmp_path, 10, descriptors={3: tun("vnet0")})
    process(tmp_path, 11, "qemu", "-uuid", descriptors={3: tun("vnet1")}).joinpath("cmdline").write_bytes(
        b"qemu\0-uuid"
    )
    gone = process(tmp_path, 12, "qemu", "-uuid", ONE, descriptors={3: tun("vnet3"), 4: tun("vnet4")})
    (gone / "fdinfo" / "4").unlink()
    assert LinuxLinks(proc=tmp_path).taps_by_domain() == {ONE: {"vnet3"}}


def test_a_tap_descriptor_that_is_not_attached_to_a_device_names_none(tmp_path: Path) -> None:
    process(tmp_path, 10, "qemu", "-uuid", ONE, descriptors={3: ("/dev/net/tun", "pos:\t0\niff:\t\n")})
    assert LinuxLinks(proc=tmp_path).taps_by_domain() == {ONE: frozenset()}
