"""XML from files and standard input."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from virtnetplug.cli.nic import MAX_XML, read_elements
from virtnetplug.errors import UsageError, XmlInvalid, XmlTooLarge


class Counted(io.RawIOBase):
    """An endless input that counts what was taken from it, in pieces as a pipe gives them."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        size = min(size, 65536)
        self.taken += size
        return b"x" * size


def test_a_huge_input_is_refused_without_being_read(monkeypatch):
    endless = Counted()
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=endless))
    with pytest.raises(XmlTooLarge, match="1024 KiB"):
        read_elements(["-"])
    assert endless.taken == MAX_XML + 1


def test_a_huge_file_is_refused(tmp_path, run, wiring):
    file = tmp_path / "huge.xml"
    with file.open("wb") as sparse:
        sparse.truncate(100 << 20)
    ran = run("attach", "web1", "--xml", str(file), "--json")
    assert (ran.code, ran.document["reason"], wiring.opened) == (3, "xml-too-large", [])
    with pytest.raises(XmlTooLarge):
        read_elements(["/dev/zero"])


def test_the_limit_itself_is_read(tmp_path):
    file = tmp_path / "nic.xml"
    file.write_bytes(b"x" * MAX_XML)
    assert len(read_elements([str(file)])[0]) == MAX_XML


def test_standard_input(monkeypatch, run, plugger):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"\xef\xbb\xbf<interface/>")))
    assert run("attach", "web1", "--xml", "-").code == 0
    assert plugger.calls == [("attach", "web1", ["<interface/>"], None, 30.0)]
    with pytest.raises(UsageError, match="only once"):
        read_elements(["-", "-"])


@pytest.mark.parametrize("name", ["/nonexistent/nic.xml", "/"])
def test_what_cannot_be_read_says_why(name, run):
    ran = run("attach", "web1", "--xml", name)
    assert ran.code == 2
    assert f"'{name}' cannot be read" in ran.err


def test_another_encoding_is_refused(tmp_path):
    file = tmp_path / "nic.xml"
    file.write_bytes("<interface/>".encode("utf-16"))
    with pytest.raises(XmlInvalid, match="UTF-8"):
        read_elements([str(file)])
