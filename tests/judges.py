"""Other people's arithmetic, which judges ours.

Imported where it judges: every process of a run of tests would pay for it as it collects them.
"""

import functools
from typing import Any


@functools.cache
def scipy_stats() -> Any:
    """scipy.stats."""
    from scipy import stats

    return stats
