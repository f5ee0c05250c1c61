"""The guest's image is what its source says, and its parameters are where the source reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from virtnetplug.demo import guest

BUILD = Path(__file__).parents[3] / "contrib" / "guest" / "build"


def test_image_is_the_assembled_source(tmp_path: Path) -> None:
    subprocess.run([BUILD, tmp_path / "guest.img"], check=True)
    assembled = (tmp_path / "guest.img").read_bytes()
    assert guest.image()[:512] == assembled
    assert set(guest.image()[512:]) == {0}


def test_parameters_change_only_their_own_bytes() -> None:
    plain, changed = guest.image(), guest.image("hold", 2.0)
    assert {i for i, (a, b) in enumerate(zip(plain, changed, strict=True)) if a != b} == {507, 508}
    assert changed[507:512] == b"h" + (37).to_bytes(2, "little") + b"\x55\xaa"


@pytest.mark.parametrize("delay", [-0.1, 3000.1])
def test_delay_out_of_range_is_refused(delay: float) -> None:
    with pytest.raises(ValueError, match="0 to 3000"):
        guest.image(delay_seconds=delay)


def test_longest_delay_fits() -> None:
    assert int.from_bytes(guest.image(delay_seconds=3000)[508:510], "little") == 54620
