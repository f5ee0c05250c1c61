from __future__ import annotations

import json

import pytest
from inside import frames


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_frames_come_out_as_they_went_in_however_they_are_cut(size: int) -> None:
    sent = [(frames.OUTPUT, b"one\n"), (frames.INPUT, b""), (frames.OUTPUT, bytes(range(256)))]
    stream = b"".join(frames.frame(*one) for one in sent)
    reader = frames.Reader()
    came = [one for at in range(0, len(stream), size) for one in reader.feed(stream[at : at + size])]
    assert came == sent


def test_a_control_frame_holds_json() -> None:
    ((kind, payload),) = frames.Reader().feed(frames.control(run=["echo", "é\0"], terminal=None))
    assert kind == frames.CONTROL
    assert json.loads(payload) == {"run": ["echo", "é\0"], "terminal": None}


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="no frame begins with"):
        list(frames.Reader().feed(b"login: "))
