"""The VM of the demo and the tests, and a private place for libvirt's embedded QEMU driver to run it in.

Nothing here calls libvirt: these are strings and paths.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

CAPABILITIES = Path("cache/qemu/capabilities")
"""Where the embedded driver keeps what it learnt of a QEMU binary, under its root."""

_FOR_ANYONE = """\
stdio_handler = "file"
"""
_FOR_ROOT = """\
security_driver = "none"
user = "root"
group = "root"
cgroup_controllers = []
remember_owner = 0
namespaces = []
"""


def domain_xml(
    name: str,
    image_path: str | os.PathLike[str],
    *,
    serial_socket: str | os.PathLike[str],
    serial_log: str | os.PathLike[str],
    machine: Literal["pc", "q35"] = "pc",
    root_ports: int = 8,
    uuid: str | None = None,
    memory_mib: int = 32,
    nets: Sequence[str] = (),
) -> str:
    """The definition of an emulated VM that boots `image_path`, a file with the bytes of `guest.image`.

    The VM starts with the `nets`, each an ``<interface>`` element. Its first serial port is the unix socket
    `serial_socket`, and all output of the port is also in `serial_log`.
    On ``q35`` the VM has `root_ports` free ``pcie-root-port``; ``pc`` has its 32 slots.
    """
    ports = ""
    if machine == "q35":
        ports = "<controller type='pci' model='pcie-root'/>"
        ports += "<controller type='pci' model='pcie-root-port'/>" * root_ports
    return f"""\
<domain type='qemu'>
  <name>{escape(name)}</name>
  {f"<uuid>{escape(uuid)}</uuid>" if uuid else ""}
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>1</vcpu>
  <os><type arch='x86_64' machine='{machine}'>hvm</type><boot dev='hd'/></os>
  <features><acpi/></features>
  <on_reboot>restart</on_reboot>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file={quoteattr(os.fspath(image_path))}/>
      <target dev='vda' bus='virtio'/>
      <address type='pci' bus='0x00' slot='0x10'/>
    </disk>
    {ports}
    <controller type='usb' model='none'/>
    {"".join(nets)}
    <serial type='unix'>
      <source mode='bind' path={quoteattr(os.fspath(serial_socket))}/>
      <log file={quoteattr(os.fspath(serial_log))} append='off'/>
      <target port='0'/>
    </serial>
    <memballoon model='none'/>
  </devices>
</domain>
"""


def default_cache() -> Path:
    """Where libvirt's knowledge of the QEMU binary outlives a private root: in the XDG cache directory."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "virtnetplug" / "qemu-capabilities"


def qemu_conf() -> str:
    """The ``qemu.conf`` that lets libvirt run QEMU as whoever it runs as itself, without any other daemon."""
    return _FOR_ANYONE + (_FOR_ROOT if os.geteuid() == 0 else "")


def embedded_root(path: Path, cache: Path | None = None) -> str:
    """Make `path` a root for libvirt's embedded QEMU driver and give its URI; one process at a time may open it.

    libvirt's knowledge of QEMU from an earlier root comes from `cache` (default `default_cache()`), as learning costs
    seconds. libvirt drops outdated parts by itself. Keep `path` short: sockets below it must stay under 108 bytes.
    """
    config = path / "etc" / "qemu.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(qemu_conf())
    copy_capabilities(cache or default_cache(), path / CAPABILITIES)
    return "qemu:///embed?root=" + quote(os.fspath(path.absolute()))


def keep_capabilities(root: Path, cache: Path | None = None) -> None:
    """Save what the driver in `root` learnt of QEMU for the next root; an unwritable cache is no error."""
    with suppress(OSError):
        copy_capabilities(root / CAPABILITIES, cache or default_cache())


def copy_capabilities(source: Path, target: Path) -> None:
    """Copy what differs, each file whole or not at all, so that processes may do this at the same time."""
    if not source.is_dir():
        return
    target.mkdir(parents=True, exist_ok=True)
    for file in source.glob("*.xml"):
        known = target / file.name
        if known.exists() and known.read_bytes() == file.read_bytes():
            continue
        handle, partial = tempfile.mkstemp(dir=target)
        os.close(handle)
        shutil.copyfile(file, partial)
        os.replace(partial, known)
