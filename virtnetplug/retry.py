"""The retry policy for host state that no event announces."""

from __future__ import annotations

from collections.abc import Callable

FIRST, MOST = 0.01, 0.25
"""Seconds between two looks: they double from the first to the second of these."""


def until_true(look: Callable[[], bool], *, seconds: float) -> bool:
    """Look again and again until `look` returns true; False if it does not within `seconds`."""
    if look():
        return True
    import tenacity  # imported here: most operations never look twice

    policy = tenacity.Retrying(
        retry=tenacity.retry_if_result(lambda is_so: not is_so),
        wait=tenacity.wait_exponential(multiplier=FIRST, min=FIRST, max=MOST),
        stop=tenacity.stop_after_delay(seconds),
        retry_error_callback=lambda state: False,
    )
    return bool(policy(look))
