"""How much faster a candidate's step is than its baseline's, in words."""

from traceana import units
from traceana.render.answer.of_comparison import UNDECIDED, whole_time
from traceana.render.page import quotient
from traceana.report import Report, StepComparison


def step_changes(report: Report) -> dict[str, str]:
    """By the name of each candidate whose step is compared: "1.31× (0.99–1.73×) not certain"."""
    return {
        one.candidate: _speedup(step)
        for one in report.comparisons
        if (step := whole_time(one)) and step.metric == "step"
    }


def _speedup(step: StepComparison) -> str:
    interval = f"({units.ratio_range(step.ci_low, step.ci_high)})" if step.ci_low is not None else ""
    quotient_of = quotient.definition(step.speedup, step.baseline_p50_ns, step.candidate_p50_ns)
    verdict = "not certain" if step.verdict == UNDECIDED else step.verdict
    return " ".join(filter(None, (units.ratio(step.speedup), interval, verdict, quotient_of)))
