"""Every retry policy of the program, by name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

FIRST, MOST = 0.01, 0.25
"""Seconds between two looks: they double from the first to the second of these."""


def until_true(
    look: Callable[[], bool],
    *,
    seconds: float,
    pausing: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> bool:
    """Look until it is so or `seconds` have passed; for host state that no event announces. Each pause is inside `pausing`."""
    if look():
        return True
    import tenacity  # imported here: most operations never look twice

    def sleep(pause: float) -> None:
        with pausing():
            tenacity.nap.sleep(pause)

    policy = tenacity.Retrying(
        sleep=sleep,
        retry=tenacity.retry_if_result(lambda is_so: not is_so),
        wait=tenacity.wait_exponential(multiplier=FIRST, min=FIRST, max=MOST),
        stop=tenacity.stop_after_delay(seconds),
        retry_error_callback=lambda state: False,
    )
    return bool(policy(look))
