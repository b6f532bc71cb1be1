"""What the report says to type to see something on the timeline."""

from msgspec.structs import replace

from tests import reports
from traceana.render.html import render
from traceana.render.sections.spans import span_rows
from traceana.render.sections.waits import waits


def test_a_span_s_row_leads_to_its_slowest_execution_after_the_first() -> None:
    (run,) = reports.one_run().runs
    times = dict(zip(("step 0", "step 1", "step 2"), (900, 300, 400), strict=True))
    steps = tuple(
        replace(run.spans[0].instances[0], name=name, compute_ns=ns, exposed_comm_ns=0) for name, ns in times.items()
    )
    spans = (replace(run.spans[0], name="step", instances=steps), replace(run.spans[1], name="an attention"))
    rows = {row.data.name: row for row in span_rows(reports.report(replace(run, path="my traces", spans=spans)))}
    assert rows["step"].command == "traceana open 'my traces' --at 'step 2'"
    assert rows["an attention"].command == "traceana open 'my traces' --at 'an attention'"


def test_a_name_with_control_characters_is_in_no_command() -> None:
    # Pasted, an interrupt would end the quoted line and what follows would run.
    hostile = render(reports.hostile("step\x03touch x\n 1"))
    assert '<span class="place">' not in hostile
    assert '<span class="place">' in render(reports.hostile("step; touch x 1"))


def test_waits_lead_to_the_timeline_only_where_something_waited() -> None:
    (run,) = reports.one_run().runs
    (found,) = waits(reports.report(run))
    assert found.longest == "traceana open traces/torch --at worst-wait"
    assert {one.op for one in found.longest_by_op} == {wait.op for wait in run.waits}
    idle = replace(run, waits=tuple(replace(wait, wait_ns=0) for wait in run.waits))
    (none,) = waits(reports.report(idle))
    assert (none.longest, none.longest_by_op) == (None, ())
