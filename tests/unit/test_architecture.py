"""The rooms of the package, who may import whom, and which outside module is let in where."""

from __future__ import annotations

import ast
import configparser
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from virtnetplug.hotplug.engine import kinds

ROOT = Path(__file__).parents[2]

# A room, and what it may import besides itself. Imports go down only: each room names rooms above it on this page.
ROOMS = {
    "errors": "",
    "lifecycle": "errors",
    "model": "errors lifecycle",
    "retry": "",
    "interruption": "errors",
    "undo": "errors interruption",
    "ports": "lifecycle model",
    "xml": "errors model",
    "resolve": "errors model",
    "backends": "errors lifecycle model ports retry xml resolve",
    "policy": "errors model",
    # The rooms of the operations. Each stands on those above it on this page.
    "hotplug.call": "errors model ports interruption xml backends",
    "hotplug.look": "errors lifecycle model ports xml backends hotplug.call",
    "hotplug.guest": "errors lifecycle model ports retry interruption xml backends hotplug.call hotplug.look",
    "hotplug.engine": "errors model ports retry undo interruption xml backends hotplug.call hotplug.guest",
    "hotplug.check": "errors model ports xml resolve backends hotplug.call hotplug.look hotplug.guest hotplug.engine",
    "hotplug.plug": "errors lifecycle model ports retry undo interruption xml resolve backends policy hotplug.call"
    " hotplug.look hotplug.guest hotplug.engine hotplug.check",
    "hotplug.report": "errors lifecycle model ports xml backends hotplug.call hotplug.look hotplug.guest",
    "hotplug.change": "errors lifecycle model ports interruption xml resolve backends policy hotplug.call hotplug.look"
    " hotplug.guest hotplug.engine hotplug.check hotplug.plug",
    "hotplug.identity": "errors lifecycle model ports interruption xml backends policy hotplug.call hotplug.look"
    " hotplug.guest hotplug.engine hotplug.check hotplug.change",
    "hotplug.recover": "errors lifecycle model ports xml backends hotplug.call hotplug.look hotplug.guest hotplug.engine"
    " hotplug.check hotplug.plug hotplug.change",
    "hotplug.pf": "errors lifecycle model ports retry xml backends hotplug.call hotplug.look hotplug.guest hotplug.engine"
    " hotplug.check hotplug.plug hotplug.change hotplug.recover",
    "hotplug.vif": "errors lifecycle model ports retry hotplug.call hotplug.look hotplug.guest hotplug.engine"
    " hotplug.check hotplug.recover",
    "hotplug.audit": "errors lifecycle model ports interruption xml backends hotplug.call hotplug.look hotplug.guest"
    " hotplug.engine hotplug.change hotplug.identity hotplug.recover",
    "hotplug": "errors lifecycle model ports hotplug.call hotplug.engine hotplug.report hotplug.change"
    " hotplug.identity hotplug.recover hotplug.pf hotplug.vif hotplug.audit",
    "metrics": "errors lifecycle model ports hotplug.look hotplug.engine",
    "cli": "errors lifecycle model ports interruption hotplug.engine hotplug.report hotplug metrics",
    "demo": "model hotplug",
    # Adapters implement ports; only the composition root knows them.
    "adapters.clock": "",
    "adapters.daemon": "",
    "adapters.linux": "errors model ports retry",
    "adapters.libvirt": "errors model ports xml adapters.daemon",
    "adapters.sqlite": "errors lifecycle model ports interruption adapters.clock adapters.daemon",
    "adapters.xen": "errors lifecycle model ports retry xml",
    "app": "errors model ports interruption hotplug.call hotplug.report hotplug cli demo"
    " adapters.clock adapters.linux adapters.libvirt adapters.sqlite adapters.xen",
    # What `import virtnetplug` gives: names of other rooms, on first use.
    "virtnetplug": "errors model hotplug.change hotplug.identity hotplug app",
}

# An outside module that is not let in everywhere, and the rooms that may import it. None but these and the standard
# library may be imported at all.
OUTSIDE = {
    "click": "cli",
    "libvirt": "adapters.libvirt",
    "libvirt_qemu": "adapters.libvirt",
    "lxml": "xml",
    "prometheus_client": "metrics",
    "sqlite3": "adapters.sqlite",
    "tenacity": "retry",
}


REGISTRY = "virtnetplug.hotplug.engine.kinds"
"""The one module that imports by name: the class of each kind of operation."""


def room_of(module: str) -> str:
    """``virtnetplug.adapters.sqlite.rows`` is in ``adapters.sqlite``; the package itself is ``virtnetplug``."""
    words = module.split(".")[1:]
    if not words or words in (["adapters"], ["hotplug"]):
        return "virtnetplug"
    has_rooms = words[0] in ("adapters", "hotplug") and words[1] != "plugger"
    return ".".join(words[:2] if has_rooms else words[:1])


def imports_of(source: str, module: str, *, is_package: bool, modules: set[str]) -> Iterator[tuple[int, str]]:
    """Line and full name of every module `source` imports, those inside functions, too."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for name in node.names:
                full = f"{base}.{name.name}"
                yield node.lineno, full if full in modules else base
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            if module == REGISTRY:
                continue  # the names are in the table of `kinds`, and `Operation` is all that it knows of them
            yield node.lineno, _computed(node.args[0])


def _computed(name: ast.expr) -> str:
    """The module, or as much of its name as stands at the front of an f-string; ``?`` for one that cannot be known."""
    if isinstance(name, ast.JoinedStr) and name.values:
        name = name.values[0]
    return str(name.value).rstrip(".") if isinstance(name, ast.Constant) else "?"


def faults_of(source: str, module: str, *, is_package: bool = False, modules: set[str]) -> list[str]:
    """What is wrong with the imports of one module."""
    room = room_of(module)
    if room not in ROOMS:
        return [f"{module}: the room {room!r} is not in the table"]
    faults = []
    for line, name in imports_of(source, module, is_package=is_package, modules=modules):
        top = name.partition(".")[0]
        if top == "virtnetplug":
            allowed = room_of(name) in {room, *ROOMS[room].split()}
        elif top in OUTSIDE:
            allowed = room in OUTSIDE[top].split()
        else:
            allowed = top in sys.stdlib_module_names
        if not allowed:
            faults.append(f"{module}:{line}: {room} must not import {name}")
    return faults


@cache
def _files() -> Mapping[str, Path]:
    """The path of each module."""
    files = {}
    for path in sorted((ROOT / "virtnetplug").rglob("*.py")):
        words = path.relative_to(ROOT).with_suffix("").parts
        files[".".join(words[:-1] if words[-1] == "__init__" else words)] = path
    return files


def test_every_import_is_in_the_tables() -> None:
    files = _files()
    assert len(files) > 20
    faults = []
    for module, path in files.items():
        is_package = path.name == "__init__.py"
        faults += faults_of(path.read_text(), module, is_package=is_package, modules=set(files))
    assert not faults, "\n".join(faults)


def test_no_module_imports_itself_by_way_of_others() -> None:
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in (ROOT / "virtnetplug").rglob("*.py")
    }
    files = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    left = {
        name: {
            its
            for _, its in imports_of(path.read_text(), name, is_package=path.name == "__init__.py", modules=set(files))
        }
        for name, path in files.items()
    }
    while True:
        imported = {its for name, each in left.items() for its in each if its != name}
        inside = {name: its for name, its in left.items() if (its - {name}) & left.keys() and name in imported}
        if len(inside) == len(left):
            break
        left = inside
    left = {name: its for name, its in left.items() if not name.startswith("virtnetplug.backends")}
    assert not left, f"each of these imports another of them: {', '.join(sorted(left))}"


def test_no_room_may_import_what_it_does_not() -> None:
    used: dict[str, set[str]] = {room: set() for room in ROOMS}
    for module, path in _files().items():
        is_package = path.name == "__init__.py"
        for _, name in imports_of(path.read_text(), module, is_package=is_package, modules=set(_files())):
            if name.startswith("virtnetplug"):
                used[room_of(module)].add(room_of(name))
    idle = {room: set(allowed.split()) - used[room] for room, allowed in ROOMS.items()}
    assert not any(idle.values()), {room: rooms for room, rooms in idle.items() if rooms}


def test_table_has_no_way_up() -> None:
    seen: set[str] = set()
    for room, allowed in ROOMS.items():
        assert set(allowed.split()) <= seen, f"{room} may import a room below it in the table"
        seen.add(room)
    assert {room for rooms in OUTSIDE.values() for room in rooms.split()} <= seen


def test_every_dependency_has_its_room() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    installed = {name.partition(">")[0].strip() for name in setup["options"]["install_requires"].split()}
    modules = {
        "libvirt-python": "libvirt",
        "prometheus-client": "prometheus_client",
    }  # libvirt_qemu comes with the first
    assert {modules.get(name, name) for name in installed} == OUTSIDE.keys() - {"sqlite3", "libvirt_qemu"}


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("virtnetplug.model.mac", "import virtnetplug.hotplug.change.attach"),
        ("virtnetplug.model.mac", "from virtnetplug import hotplug"),
        ("virtnetplug.model.mac", "from ..hotplug import attach"),
        ("virtnetplug.model.mac", "def late():\n    from virtnetplug.xml import documents"),
        ("virtnetplug.model.mac", "if TYPE_CHECKING:\n    from virtnetplug.ports.domain import Domain"),
        ("virtnetplug.hotplug.change.attach", "import importlib\nimportlib.import_module('virtnetplug.cli')"),
        ("virtnetplug.hotplug.change.attach", "import importlib\nimportlib.import_module('virtnetplug.' + 'cli')"),
        ("virtnetplug.hotplug.change.attach", "import importlib\nimportlib.import_module(f'virtnetplug.cli.{name}')"),
        ("virtnetplug.hotplug.change.attach", "import libvirt"),
        ("virtnetplug.hotplug.change.attach", "from lxml import etree"),
        ("virtnetplug.hotplug.change.attach", "import requests"),
        ("virtnetplug.hotplug.change.attach", "from virtnetplug.adapters.libvirt import loop"),
        ("virtnetplug.adapters.linux.links", "from virtnetplug.adapters.libvirt import loop"),
        ("virtnetplug.cli.run", "import virtnetplug.app"),
        ("virtnetplug.cli.run", "import virtnetplug"),
        ("virtnetplug.utils", ""),
    ],
)
def test_fault_is_seen(module: str, source: str) -> None:
    modules = {"virtnetplug", "virtnetplug.hotplug", "virtnetplug.hotplug.change.attach", "virtnetplug.xml.documents"}
    assert len(faults_of(source, module, modules=modules)) == 1


def test_good_imports_are_let_in() -> None:
    source = "import os.path\nfrom virtnetplug import errors\nfrom . import view\nfrom ...model.mac import Mac"
    modules = {"virtnetplug", "virtnetplug.errors", "virtnetplug.hotplug.look.view", "virtnetplug.model.mac"}
    assert faults_of(source, "virtnetplug.hotplug.change.attach", modules=modules) == []


OPERATION_NAMES = {name.partition(" ")[0] for name in kinds.KINDS} - {"remember"}  # a step is called so, too
THEIRS = {"pf.rebind_pf": "pf.plan"}
"""Of an operation in several modules, the one that has its name."""


def test_the_name_of_an_operation_stands_in_the_registry_and_in_its_own_module() -> None:
    own: dict[str, set[str]] = {}
    for name, kind in kinds.KINDS.items():
        module = kind.path.rpartition(".")[0]
        own.setdefault(name.partition(" ")[0], set()).add(THEIRS.get(module, module))
    rooms = ROOT / "virtnetplug" / "hotplug"
    for path in sorted(rooms.rglob("*.py")):
        nodes = list(ast.walk(ast.parse(path.read_text())))
        methods = {
            id(node.args[0]) for node in nodes if isinstance(node, ast.Call) and ast.unparse(node.func) == "call"
        }
        words = {node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in methods}
        module = ".".join(path.relative_to(rooms).with_suffix("").parts)
        for name in words & OPERATION_NAMES if module != "engine.kinds" else ():
            assert module in own[name], f"{module} has {name!r}: import the name from {' or '.join(sorted(own[name]))}"


def test_a_vf_is_written_to_in_one_module_which_compares_it_first() -> None:
    writes = {"apply": "host_devices", "detach": "nodedevs", "reattach": "nodedevs", "create_port": "networks"}
    for path in sorted((ROOT / "virtnetplug").rglob("*.py")):
        if path.name == "vf_identity.py" or "adapters" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            is_call = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute)
            assert not is_call or writes.get(node.attr) != node.value.attr, (  # type: ignore[attr-defined]
                f"{path.name}:{node.lineno} writes to a VF unseen: call virtnetplug.backends.vf_identity"  # type: ignore[attr-defined]
            )
