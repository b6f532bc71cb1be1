"""The first screen of a run by itself."""

from traceana import units
from traceana.render.answer import capture_command
from traceana.render.answer.causes import EXPOSED_IS, UNCOVERED_BY, explained
from traceana.render.answer.figures import Figure, Headline, Window, exposed_share, left_out, window
from traceana.render.answer.late import late_of, late_unknown
from traceana.render.answer.top import top_of_run
from traceana.report import RunReport


def run_answer(run: RunReport) -> Headline:
    """How much the run communicates, what costs most, who is late, and how to capture a comparison."""
    if not run.operations:
        return Headline(
            sentence=f"No communication was found in {run.label}.",
            second="The traces hold no communication kernel and no collective that traceana knows.",
            figures=(),
        )
    times = window([run])
    hidden = units.percent(times.overlapped_comm_ns, times.comm_ns)
    return Headline(
        sentence=f"{run.label} communicates for {units.percent(times.comm_ns, times.span_ns)} of its window; "
        f"{hidden} of that is hidden under compute.",
        second="",
        figures=(_exposed_figure(run, times), _costliest_figure(run), _late_figure(run), _compare_figure(run)),
    )


def _exposed_figure(run: RunReport, times: Window) -> Figure:
    is_, by = (
        explained((rank.exposed_is for rank in run.ranks), EXPOSED_IS),
        explained((rank.uncovered_by for rank in run.ranks), UNCOVERED_BY),
    )
    causes = [f"{units.percent(part.share, 1)} {part.name}" for part in is_[:2]]
    why = [f"not covered because {by[0].name} ({units.percent(by[0].share, 1)})"] if by else []
    why += [left_out(times)] if left_out(times) else []
    return Figure(
        question="Exposed",
        value=exposed_share(times),
        caption=f"of the window, {units.duration(times.exposed_comm_ns / max(1, len(run.ranks)))} a rank",
        detail="; ".join([", ".join(causes), *why] if causes else why),
        term="exposed",
    )


def _costliest_figure(run: RunReport) -> Figure:
    """The operation with most exposed time; where compute covers all, that with most time in calls."""
    found = next(iter(top_of_run(run)), None)
    if found is None:
        costliest = max(run.operations, key=lambda operation: operation.duration_ns.sum)
        return Figure(
            question="Costs most",
            value=units.sized(costliest.op, costliest.message_bytes),
            caption="none of it exposed",
            detail=f"{units.duration(costliest.duration_ns.sum / max(1, len(run.ranks)))} in calls a rank",
            term="duration",
        )
    return Figure(
        question="Costs most",
        value=units.sized(found.op, found.message_bytes),
        caption=f"{units.duration(found.exposed_ns[0])} exposed a rank",
        detail=f"in {found.site}" if found.site else "no span or module was open",
        term="exposed",
    )


def _late_figure(run: RunReport) -> Figure:
    late = late_of([run])
    if late is None:
        return late_unknown([run])
    return Figure(
        question="Late", value=f"rank {late.rank}", caption=late.in_words, detail=late.cause, term="straggler"
    )


def _compare_figure(run: RunReport) -> Figure:
    return Figure(
        question="Compare",
        value="a second side",
        caption="shows what a difference is worth",
        detail="",
        term="speedup",
        command=capture_command.of_a_comparison(run),
    )
