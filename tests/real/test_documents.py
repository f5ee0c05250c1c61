"""The examples of the Python API do what they say, on a real guest; that of the README, too."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import libvirt
import pytest

import virtnetplug
from tests.real.guests import Guest
from virtnetplug import Interface

ROOT = Path(__file__).parents[2]


def example(document: str, number: int = 0, *, of: int = 1) -> str:
    """Its block of Python of that number; `of` is how many there are, so that none is left out."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == of
    return str(blocks[number])


@pytest.fixture
def web1(guest: Callable[..., Guest], uri: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> Guest:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", uri)
    monkeypatch.setenv("VIRTNETPLUG_STATE_DIR", str(place / "state"))
    return guest(name="web1")


def test_api_example(
    web1: Guest,
    bridge: Callable[..., str],
    network: Callable[..., libvirt.virNetwork],
    capsys: pytest.CaptureFixture[str],
) -> None:
    bridge("br0")
    network("isolated")  # so that there is someone to say that another is missing, with either driver
    exec(example("docs/api.md", of=2), {})
    attached, error = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"done vnet\d+ 0000:00:[0-9a-f]{2}\.0", attached)
    assert error.startswith("network-missing 3 ")
    assert web1.aliases() == []


def test_api_example_with_a_guest_that_holds_on(
    web1: Guest, bridge: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    bridge("br0")
    web1.hold()
    impatient = example("docs/api.md", of=2).replace("wait=5.0", "wait=0.2").replace("wait=60.0", "wait=0.2")
    exec(impatient, {})
    assert capsys.readouterr().out.splitlines()[1] == "detach pending"
    assert web1.aliases() == ["ua-front"]


def test_api_example_of_an_operation(
    web1: Guest, bridge: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    with virtnetplug.open() as plugger:
        plugger.attach("web1", [Interface(type="bridge", source_bridge=bridge("br0"), alias="ua-front")])
    exec(example("docs/api.md", 1, of=2), {})
    assert capsys.readouterr().out == "done\n"
    assert web1.aliases() == []


@pytest.mark.driver("daemon")
def test_readme_example(
    web1: Guest, network: Callable[..., libvirt.virNetwork], capsys: pytest.CaptureFixture[str]
) -> None:
    name = network("isolated").name()
    exec(example("README.md").replace('"default"', f'"{name}"'), {})
    assert re.fullmatch(r"done 52:54:00(:[0-9a-f]{2}){3}\n", capsys.readouterr().out)
    assert len(web1.aliases()) == 1
