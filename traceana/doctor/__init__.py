"""`traceana doctor`: what this machine, a command and a run can measure, and what stands in the way."""
