"""Every file in this folder: what is wrong or odd about it, who met it, and what an analysis must say."""

from tests.traces import odd
from tests.traces.case import Case
from tests.traces.cases_broken import DAMAGED, HOPELESS
from tests.traces.cases_odd import ODD

__all__ = ["CASES", "DAMAGED", "DUPLICATES", "HOPELESS", "ODD", "Case"]

CASES = (*DAMAGED, *HOPELESS, *ODD)
DUPLICATES = {"duplicate-rank/first.json": odd.rank_one(), "duplicate-rank/second.json": odd.rank_one()}
"""Two files of one rank: an error that names both."""
