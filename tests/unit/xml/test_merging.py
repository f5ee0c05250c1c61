"""The three-way merge of elements: one change, done to an element that somebody else has changed since."""

from __future__ import annotations

import pytest

from virtnetplug import xml

BASE = """<interface type='bridge'>
  <mac address='52:54:00:00:00:01'/>
  <source bridge='br0'/>
  <bandwidth>
    <inbound average='100'/>
  </bandwidth>
  <model type='virtio'/>
  <tune>
    <sndbuf>0</sndbuf>
  </tune>
</interface>"""


def test_nothing_else_changed() -> None:
    after = BASE.replace("br0", "br1")
    assert xml.merged(BASE, BASE, after) == after


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (("<model", "<link state='down'/>\n  <model"), ("br0", "br1")),
        (("<inbound average='100'/>", "<inbound average='100'/>\n    <outbound average='7'/>"), ("'100'", "'200'")),
        (("  <tune>\n    <sndbuf>0</sndbuf>\n  </tune>\n", ""), ("br0", "br1")),
        (("<sndbuf>0</sndbuf>", "<sndbuf>9</sndbuf>"), ("virtio", "e1000")),
        (("br0", "br2"), ("type='virtio'", "type='virtio' more='1'")),
    ],
)
def test_both_changes_are_there(theirs: tuple[str, str], ours: tuple[str, str]) -> None:
    now, after = BASE.replace(*theirs), BASE.replace(*ours)
    assert xml.merged(now, BASE, after) == now.replace(*ours)
    assert xml.merged(now.replace(*ours), after, BASE) == now


def test_an_element_that_comes_goes_again() -> None:
    down = BASE.replace("</tune>\n", "</tune>\n  <link state='down'/>\n")
    now = BASE.replace("br0", "br2")
    there = xml.merged(now, BASE, down)
    assert xml.interface(there).link_state == "down" and xml.interface(there).source_bridge == "br2"
    assert xml.merged(there, down, BASE) == now


def test_elements_of_one_tag_are_compared_together() -> None:
    def tagged(*ids: int) -> str:
        tags = "".join(f"<tag id='{number}'/>" for number in ids)
        return BASE.replace("<model", f"<vlan>{tags}</vlan>\n  <model")

    merged = xml.interface(xml.merged(tagged(1, 2).replace("br0", "br2"), tagged(1, 2), tagged(3)))
    assert merged.vlan is not None and [tag.id for tag in merged.vlan.tags] == [3]
    assert merged.source_bridge == "br2"
