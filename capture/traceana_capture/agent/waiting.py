"""Why a window never opened, and what to ask for instead."""

from typing import Any


def missing(settings: dict[str, Any], *, started: bool, seen: int, requests: bool, due: bool) -> str:
    """In words: what the options wait for, after `seen` steps; `due` where only the delay's end was still to come.

    `requests` says whether a framework works here whose work begins with the first request.
    """
    start_on, step_on, warmup = settings["start_on"], settings["step_on"], settings["warmup"]
    if not started:
        return f"--start-on {start_on} was never called; name a function that the ranks call"
    if step_on and not seen:
        return f"--step-on {step_on} was never called; name a function that the ranks call"
    if warmup and seen < warmup:
        return f"{_steps(seen)} of --warmup {warmup} came; ask for fewer, or say with --step-on what a step is"
    if warmup and seen:
        return f"after --warmup {warmup} no step came any more; ask for fewer"
    if due:
        return f"--delay {settings['delay_s']:g} s was not over; ask for a shorter one"
    if requests:
        return "no request came; send one, or name a function with --start-on that the ranks call"
    if settings["steps"] and not seen:
        return "no step and no collective came; say with --step-on what a step is"
    return "no collective came; name a function with --start-on that the ranks call"


def _steps(seen: int) -> str:
    return f"only {seen}" if seen else "none"
