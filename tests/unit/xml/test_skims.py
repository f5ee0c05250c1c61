"""What is said of a definition without parsing it: cautious, never wrong."""

from __future__ import annotations

import pytest

from virtnetplug.xml import may_have_doubles, nic_count, run_of


def definition(*nics: tuple[str, str | None]) -> str:
    each = [
        f"    <interface type='user'>\n      <mac address='{mac}'/>\n"
        + (f"      <alias name='{alias}'/>\n" if alias else "")
        + "    </interface>\n"
        for mac, alias in nics
    ]
    return f"<domain>\n  <devices>\n{''.join(each)}  </devices>\n</domain>"


ONE, TWO = "52:54:00:00:00:01", "52:54:00:00:00:02"


def test_different_names_are_no_doubles() -> None:
    assert not may_have_doubles(definition())
    assert not may_have_doubles(definition((ONE, None), (TWO, None)))
    assert not may_have_doubles(definition((ONE, "ua-1"), (TWO, "ua-2")))


@pytest.mark.parametrize("nics", [((ONE, "ua-1"), (ONE, "ua-2")), ((ONE, "ua-1"), (TWO, "ua-1"))])
def test_a_name_twice_may_be_a_double(nics: tuple[tuple[str, str], ...]) -> None:
    assert may_have_doubles(definition(*nics))


def test_what_is_not_written_as_libvirt_does_asks_for_a_real_look() -> None:
    assert may_have_doubles(definition((ONE, "ua-1"), (TWO, "ua-2")).replace("'", '"'))
    assert may_have_doubles("<domain><devices><interface type='user'/></devices></domain>")


def test_nics_are_counted() -> None:
    assert nic_count(definition()) == 0
    assert nic_count(definition((ONE, None), (TWO, "ua-1"))) == 2


@pytest.mark.parametrize(
    ("definition", "run"),
    [
        ("<domain type='qemu' id='7'>\n  <devices/></domain>", 7),
        ("<domain type='kvm' id='12' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'></domain>", 12),
        ("<domain type='qemu'>\n  <metadata id='3'/></domain>", None),
        ("<domain type='qemu' uuid='3'/>", None),
    ],
)
def test_the_run_is_that_of_the_domain_itself(definition: str, run: int | None) -> None:
    assert run_of(definition) == run
