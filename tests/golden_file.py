"""Golden files: what a test makes is what is written down, and one flag writes it down anew."""

from __future__ import annotations

import os
from pathlib import Path

REGENERATE = "VIRTNETPLUG_REGENERATE"


def assert_golden(path: Path, text: str) -> None:
    """Fail if `text` is not what `path` holds; with ``VIRTNETPLUG_REGENERATE=1`` write it there."""
    if os.environ.get(REGENERATE):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    held = path.read_text() if path.exists() else ""
    assert text == held, f"{path} is out of date; if the change is meant, run the test with {REGENERATE}=1"
