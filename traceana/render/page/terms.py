"""What each quantity in the report means: shown on hover, and in full at the end."""

import msgspec

from traceana.analyze.guide import in_words


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A term and its meaning in a sentence or two."""

    name: str
    meaning: str


TERMS = {
    "span": Definition(
        name="window",
        meaning="The time that a rank's trace covers: from its first to its last GPU activity "
        "(host span, in a trace without a GPU).",
    ),
    "compute": Definition(
        name="compute",
        meaning="Time in which at least one compute kernel ran, on any stream of the rank's device. "
        "Overlapping kernels count once.",
    ),
    "communication": Definition(
        name="communication",
        meaning="Time in which at least one communication kernel ran: NCCL, RCCL, custom all-reduce, symmetric "
        "memory and the like. It includes waiting for peers.",
    ),
    "overlapped": Definition(
        name="overlapped communication",
        meaning="Communication while compute ran on the same device: it costs no time of its own.",
    ),
    "exposed": Definition(
        name="exposed communication",
        meaning="Communication while no compute ran on the same device: the part that a faster backend can win back.",
    ),
    "memory": Definition(
        name="memory",
        meaning="Memory copies and sets outside compute and communication.",
    ),
    "idle": Definition(name="idle", meaning="Time of the window in which nothing ran on the device."),
    "size": Definition(
        name="message size",
        meaning="Bytes of a call as nccl-tests counts them: the buffer for all_reduce, broadcast, reduce and "
        "send/recv; the whole (ranks × a rank's part) for all_gather, reduce_scatter, gather and scatter; a rank's "
        "whole send buffer for all_to_all.",
    ),
    "call": Definition(
        name="call",
        meaning="One collective on one rank. A collective over 8 ranks counts as 8 calls.",
    ),
    "duration": Definition(
        name="duration",
        meaning="From start to end of a call's kernel on its rank. It includes waiting for peers that arrive later.",
    ),
    "imbalance": Definition(
        name="imbalance",
        meaning="The most bytes that a rank sends, or receives, over the mean of the group: 1× where all are equal.",
    ),
    "wait": Definition(
        name="wait",
        meaning="From a rank's own start of a collective to the start of the rank that arrived last.",
    ),
    "transfer": Definition(
        name="transfer",
        meaning="From the last rank's start to the end: the part of a call that the backend answers for.",
    ),
    "matched": Definition(
        name="matched",
        meaning="Calls that were found on every rank of their group with the same operation, dtype and size. "
        "Only these can be split into wait and transfer.",
    ),
    "percentile": Definition(
        name="p50, p95, p99",
        meaning="The time that 50, 95 or 99 % of the calls do not exceed. p50 is the median.",
    ),
    "algbw": Definition(name="algbw", meaning="Algorithm bandwidth: message size over time, in decimal GB/s."),
    "busbw": Definition(
        name="busbw",
        meaning="Bus bandwidth as nccl-tests counts it, in decimal GB/s: algbw times 2(n−1)/n for all_reduce, "
        "(n−1)/n for all_gather, reduce_scatter, all_to_all, gather and scatter, 1 otherwise. It can be held "
        "against the hardware's limit whatever the number of ranks n.",
    ),
    "speedup": Definition(
        name="speed-up",
        meaning="Typical time of the baseline over that of the candidate, steady calls only: above 1× the candidate "
        "is faster. A typical time is the geometric mean, over runs or stretches of a run, of medians.",
    ),
    "mix": Definition(
        name="speed-up over the mix",
        meaning="The time of the baseline's calls, over the time they would take at the candidate's medians: "
        "each operation and size weighs as much as the baseline spends on it. Rows that cannot tell are left out "
        "where others can, but not with one run a side.",
    ),
    "interval": Definition(
        name="95 % interval",
        meaning="Of the speed-up, by Student's t. With three or more runs a side it takes runs as the sample, so it "
        "covers what another run would bring. With fewer it takes stretches of calls, and covers only the spread "
        "inside these recordings.",
    ),
    "verdict": Definition(
        name="verdict",
        meaning="Faster or slower only where chance is an unlikely explanation, all rows taken together (Holm, 5 %); "
        "not certain (report.json: cannot tell) where samples are too few or too noisy, and always where one run a "
        "side shows a difference.",
    ),
    "worth": Definition(
        name="worth",
        meaning="What the exposed time of these calls falls by with the candidate a step, on a mean rank, waiting "
        "included: a faster call that compute hides anyway is worth nothing. It is not known where exposed time moves "
        "against the speed-up, or where ranks, calls or windows differ.",
    ),
    "endtoend": Definition(
        name="end to end",
        meaning="Times of whole steps and requests, with compute and waiting: what a user of the program notices.",
    ),
    "typical": Definition(
        name="typical step",
        meaning="As long as the geometric mean, over runs, of the median steady step, as the comparison has it; its "
        "parts have the shares that they have of all steady steps. Where steps are of two lengths, none may be that "
        "long: Step by step shows each.",
    ),
    "warmup": Definition(
        name="warm-up",
        meaning="The first step and the first call of each kind: connections are made and memory is allocated in "
        "them. They are left out of the comparison.",
    ),
    "site": Definition(
        name="call site",
        meaning="The innermost user span or, in traces with Python stacks, nn.Module that was open on the thread when "
        "a call was launched, without its number.",
    ),
    "expected": Definition(
        name="expected",
        meaning="What the guide to sglang's communication expects PyNccl to save of torch.distributed's time at this "
        f"size: {in_words()}.",
    ),
    "axis": Definition(
        name="parallel axis",
        meaning="What a process group divides among its ranks, by the description that its maker gave it: tensors "
        "(TP), data (DP), stages (PP), the sequence (SP, CP, Ulysses, ring), experts (EP) or guidance (CFG).",
    ),
    "basis": Definition(
        name="basis",
        meaning="Transfer where calls were matched across ranks on both sides, otherwise duration, waiting included.",
    ),
    "step": Definition(
        name="time of a step",
        meaning="From the start of the first to the end of the last GPU activity that was launched in the step, on the "
        "rank where that takes longest. Where the trace holds no GPU activity, the time of the host's span.",
    ),
    "busy": Definition(
        name="busy time",
        meaning="Compute plus exposed communication of the kernels launched inside an execution. The host only queues "
        "kernels, so its own duration is no measure of them; it is used where nothing was launched.",
    ),
    "straggler": Definition(
        name="straggler",
        meaning="The rank that arrived last at a collective; its peers waited for it.",
    ),
    "residual": Definition(
        name="clock residual",
        meaning="How well the ranks' clocks agree: on one host's clock the median difference between the ranks' ends "
        "of one collective, on aligned clocks a bound of their offsets' error that holds in 95 of 100 runs. Waits "
        "shorter than it mean nothing.",
    ),
    "place": Definition(
        name="on the timeline",
        meaning="Paste the command into a terminal, in the folder where the report was made: Perfetto opens in the "
        "browser with all ranks of the run, at that span or wait. --rank N opens one rank's own file; --offline needs "
        "no internet.",
    ),
    "label": Definition(
        name="run",
        meaning="A set of ranks recorded together. Its label is only a name: backends are read from the traces.",
    ),
    "backend": Definition(
        name="backend",
        meaning="The software that issued a call (torch.distributed, PyNccl, …), from evidence in the trace.",
    ),
    "library": Definition(
        name="library",
        meaning="Whose kernel carried a call out: nccl, rccl, custom, symm_mem, ….",
    ),
}
