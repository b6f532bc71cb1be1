"""What a run's step would take with something changed, by a replay of what waited for what."""

import msgspec


class WhatIf(msgspec.Struct, frozen=True, kw_only=True):
    """One change, or several together. Times are geometric means over the run's steady steps, `steps` of them.

    `replayed_step_ns` is the unchanged replay without the delays that nothing in the recording explains: how well the
    replay knows this run. `low_ns` and `high_ns` bound the prediction at 95 %, by how the predicted steps differ and by
    how far the replay is off; None with a single step. `notes` say what the change could not reach.
    """

    change: str
    measured_step_ns: int
    replayed_step_ns: int
    predicted_step_ns: int
    low_ns: int | None
    high_ns: int | None
    saved_low_ns: int | None
    saved_high_ns: int | None
    """Bounds of `saved_ns`, by how much the change brings in each step: steps that differ do not widen them."""
    steps: int
    notes: tuple[str, ...] = ()

    @property
    def saved_ns(self) -> int:
        """By how much a step gets shorter, negative where it gets longer."""
        return self.measured_step_ns - self.predicted_step_ns
