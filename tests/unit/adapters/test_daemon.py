from __future__ import annotations

import os
from pathlib import Path

import pytest

from virtnetplug.adapters import daemon
from virtnetplug.adapters.daemon import key_from_uri, key_of_remote


@pytest.fixture(autouse=True)
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The host's ``/run``, with the socket of a libvirtd; this process is root's."""
    run = tmp_path.resolve() / "run"
    (run / "libvirt").mkdir(parents=True)
    (run / "libvirt/libvirt-sock").touch()
    monkeypatch.setattr(daemon, "SYSTEM", str(run / "libvirt"))
    become(monkeypatch, 0)
    return run


def become(monkeypatch: pytest.MonkeyPatch, user: int, **variables: str | Path) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    for name, value in variables.items():
        monkeypatch.setenv(name, str(value))


def test_the_system_daemon_has_one_key_however_it_is_spelled(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.joinpath("var").mkdir()
    tmp_path.joinpath("var/run").symlink_to(run)
    tmp_path.joinpath("one").symlink_to(run / "libvirt/libvirt-sock")
    monkeypatch.chdir(tmp_path)
    spellings = [
        "qemu:///system",
        "qemu:///session",  # root has no other daemon
        "qemu+unix:///system",
        "qemu+UNIX:///system",
        "qemu+unix:///session",
        "qemu+unix:///system?mode=legacy",
        f"qemu:///system?socket={run}/libvirt/libvirt-sock",
        f"qemu+unix:///system?socket={run}/libvirt/libvirt-sock",
        f"qemu+unix:///system?socket={run}/libvirt/libvirt-sock-ro",
        f"qemu+unix:///system?mode=direct;SOCKET={run}//libvirt/./virtqemud-sock",
        f"qemu+unix:///system?socket={tmp_path}/var/run/libvirt/libvirt-sock",
        f"qemu+unix:///system?socket={tmp_path}/one&mode=legacy",
        "qemu+unix:///system?socket=var/run/libvirt/libvirt-sock",
        "qemu+unix:///?name=qemu:///system",
        f"xen+unix:///system?name=qemu:///system&socket={tmp_path}/var%2Frun/libvirt/libvirt-sock",
    ]
    assert {key_from_uri(uri) for uri in spellings} == {f"qemu:socket={run}/libvirt"}


def test_the_key_outlives_the_daemon_and_its_kind(run: Path) -> None:
    before = key_from_uri("qemu:///system")
    (run / "libvirt/libvirt-sock").unlink()
    assert key_from_uri("qemu:///system") == before, "libvirtd is down"
    (run / "libvirt/virtqemud-sock").touch()
    assert key_from_uri("qemu:///system") == before, "the driver's own daemon has its domains by now"


def test_a_default_socket_that_is_a_link_leads_to_its_daemon(run: Path, tmp_path: Path) -> None:
    for name in ("libvirt-sock", "virtqemud-sock"):
        other = tmp_path.resolve() / f"of-{name}"
        other.mkdir()
        (run / "libvirt" / name).unlink(missing_ok=True)
        (run / "libvirt" / name).symlink_to(other / "libvirt-sock")
        assert key_from_uri("qemu:///system") == f"qemu:socket={other}"
    assert key_from_uri("xen:///system") == f"xen:socket={tmp_path.resolve()}/of-libvirt-sock", "not another driver's"


def test_another_daemon_of_this_host_has_another_key(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    uris = [
        "qemu:///system",
        "xen:///system",
        "lxc:///system",
        f"qemu+unix:///system?socket={tmp_path}/a/libvirt-sock",
        f"qemu+unix:///system?socket={tmp_path}/a/forwarded",
        f"qemu+unix:///system?socket={tmp_path}/a/forwarded-2",
        f"qemu:///embed?root={tmp_path}/a",
        f"qemu:///embed?root={tmp_path}/b",
        "test:///default",
        "test:///etc/test.xml",
        "test+unix:///default",
    ]
    keys = {uri: key_from_uri(uri) for uri in uris}
    for user in (1000, 1001):
        become(monkeypatch, user, XDG_RUNTIME_DIR=f"/run/user/{user}")
        keys[f"session of {user}"] = key_from_uri("qemu:///session")
    assert None not in keys.values() and len(set(keys.values())) == len(keys), keys


def test_a_session_is_its_users(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_root = "qemu:///system", "qemu+unix:///session?socket=/run/user/1000/libvirt/libvirt-sock"
    system, session = (key_from_uri(uri) for uri in of_root)
    become(monkeypatch, 1000, XDG_RUNTIME_DIR="/run/user/1000")
    assert [key_from_uri(uri) for uri in ("qemu:///system", "qemu:///session")] == [system, session]
    assert session == "qemu:socket=/run/user/1000/libvirt"
    become(monkeypatch, 1000, HOME=tmp_path)  # as in a cron job
    assert key_from_uri("qemu:///session") == f"qemu:socket={tmp_path.resolve()}/.cache/libvirt"
    become(monkeypatch, 1000, HOME=tmp_path, XDG_CACHE_HOME="/fast")
    assert key_from_uri("qemu:///session") == "qemu:socket=/fast/libvirt"


def test_what_another_user_dialled_is_that_users(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    become(monkeypatch, 0, XDG_RUNTIME_DIR="/run/user/0")
    assert key_from_uri("qemu:///session", owner=1000) == "qemu:socket=/run/user/1000/libvirt"
    become(monkeypatch, 1000, XDG_RUNTIME_DIR="/run/user/1000")
    assert key_from_uri("qemu:///session", owner=0) == f"qemu:socket={run}/libvirt"


def test_a_root_of_an_embedded_driver_has_one_key(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "root")
    (tmp_path / "root").mkdir()
    keys = {key_from_uri(f"qemu:///embed?root={tmp_path}/{name}") for name in ("root", "link", "root/", "x/../root")}
    assert keys == {f"qemu:root={tmp_path.resolve()}/root"}


def test_a_socket_in_another_mount_namespace_is_not_the_one_of_that_name_here(tmp_path: Path) -> None:
    """The link ``/proc/PID/root`` reads as ``/``, and leads elsewhere."""
    here = tmp_path.resolve() / "libvirt-sock"
    here.touch()
    assert key_from_uri(f"qemu+unix:///system?socket=/proc/self/root{here}") == f"qemu:socket={tmp_path.resolve()}"
    there = f"/proc/4711/root{here}"
    real = os.path.realpath, os.path.samefile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os.path, "realpath", lambda path: str(here) if str(path) == there else real[0](path))
        patch.setattr(os.path, "samefile", lambda one, two: there not in (one, two) and real[1](one, two))
        assert key_from_uri(f"qemu+unix:///system?socket={there}") == f"qemu:socket={os.path.dirname(there)}"


@pytest.mark.parametrize(
    "uri",
    [
        *(f"qemu+{transport}:///system" for transport in ("tls", "tcp", "ssh", "libssh", "libssh2", "ext")),
        *("qemu://kvm7/system", "xen+ssh://root@kvm7/system", "esx://kvm7/", "test+tls://kvm7/default"),
        *("", "no uri", "///system", "qemu://[::1/system"),
    ],
)
def test_where_only_a_connection_can_tell(uri: str) -> None:
    assert key_from_uri(uri) is None


def test_a_hypervisor_of_another_host_is_known_by_that_host() -> None:
    uuid = "4C4C4544-0042-3510-8056-B4C04F564433"
    one = [
        *("qemu+ssh://kvm7/system", "qemu+ssh://root@kvm7.example.com:2222/system?keyfile=/k", "qemu://kvm7/system"),
        *("qemu+tcp://10.0.0.7/system", "qemu+ssh://kvm7/system?socket=/var/run/libvirt/libvirt-sock-ro"),
    ]
    assert {key_of_remote(uri, "kvm7", uuid) for uri in one} == {f"qemu:host=kvm7,uuid={uuid.lower()}"}
    others = [
        ("qemu+ssh://kvm7/system", "kvm8", uuid),  # a clone
        ("qemu+ssh://kvm7/system", "kvm7", "1"),
        ("xen+ssh://kvm7/system", "kvm7", uuid),
        ("qemu+ssh://kvm7/session", "kvm7", uuid),
        ("qemu+ssh://eve@kvm7/session", "kvm7", uuid),
        ("qemu+ssh://kvm7/system?socket=/srv/a/libvirt-sock", "kvm7", uuid),
        ("qemu+ssh://kvm7/system?socket=/srv/a/forwarded", "kvm7", uuid),
    ]
    keys = {key_of_remote(*each) for each in others} | {key_of_remote(one[0], "kvm7", uuid)}
    assert len(keys) == len(others) + 1
