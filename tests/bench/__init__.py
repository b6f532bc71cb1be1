"""Speed and memory of `traceana analyze` beside HolisticTraceAnalysis and beside the hardware's own floor."""
