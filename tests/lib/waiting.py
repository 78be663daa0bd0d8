# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for something to become true, with a deadline and a reason: never a plain sleep."""
import time

# Sanitized builds on two busy cores are slow; a limit is for hangs, not for measuring.
PATIENCE = 30


class TooLate(AssertionError):
    pass


def until(condition, what, seconds=PATIENCE, step=0.01):
    """The first true value of condition(), asked again and again for at most so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TooLate(f'not within {seconds} s: {what}')
        time.sleep(step)
        step = min(step * 1.5, 0.25)
