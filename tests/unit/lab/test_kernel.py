"""A packed kernel, as in Documentation/arch/x86/boot.rst, and what is in it."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from image import kernel

ZSTD = b"\x28\xb5\x2f\xfd"


def packed(payload: bytes) -> bytes:
    """One with three sectors of set-up, whose payload is 100 bytes behind them."""
    image = bytearray(4 * 512 + 100)
    image[0x1F1] = 3
    struct.pack_into("<II", image, 0x248, 100, len(payload))
    return bytes(image) + payload + b"what follows"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "lib/modules/6.1-test").mkdir(parents=True)
    (tmp_path / "boot").mkdir()
    return tmp_path


def test_the_payload_alone_is_unpacked(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[bytes] = []

    def run(words: list[str], *, input: bytes, **_options: Any) -> subprocess.CompletedProcess[bytes]:  # noqa: A002
        given.append(input)
        return subprocess.CompletedProcess(words, 0, b"\x7fELF")

    monkeypatch.setattr(subprocess, "run", run)
    kernel.compressed(root).write_bytes(packed(ZSTD + b"kernel" + struct.pack("<I", 1000)))
    kernel.write(root / "kernel", root)
    assert given == [ZSTD + b"kernel"]
    assert (root / "kernel").read_bytes() == b"\x7fELF"


def test_a_kernel_that_is_packed_otherwise_is_named(root: Path) -> None:
    kernel.compressed(root).write_bytes(packed(b"\xfd7zXZ\0" + bytes(100)))
    with pytest.raises(ValueError, match=r"vmlinuz-6\.1-test is not packed with zstd: fd377a585a00"):
        kernel.write(root / "kernel", root)
