"""Whether a launcher is one of several that start one run, told by Slurm, the command or the environment."""

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Options of torchrun, accelerate, sglang and vLLM, with their dashes as underlines.
NODES = ("nnodes", "num_machines")
NODE_RANK = ("node_rank", "machine_rank")
MEETING = ("rdzv_id", "master_port", "main_process_port")
# torchrun takes its options from the environment too (torch.distributed.argparse_util).
FROM_ENVIRONMENT = "PET_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run of several launchers, and this one's place in it.

    `launchers` is how many there are, None where the command leaves that open (`--nnodes 1:4`). `launch` is equal for
    those of one run; where it is `unique`, no other run ever has it. `seat` is the launcher's number, empty where
    nothing tells it; `node` names the launcher: its host, and its seat.
    """

    launchers: int | None
    launch: str
    unique: bool
    seat: str
    node: str


def job_of(argv: Sequence[str], environment: Mapping[str, str], nodes: int | None = None) -> Job | None:
    """The job that this launcher belongs to; None where it runs the command alone.

    `nodes` is what the user says of their number, which goes before what the command says.
    """
    found = _of_slurm(environment) or _of_command(argv, environment) or _of_ranks(environment)
    if found is None:
        return _job(launchers=nodes, launch=f"{nodes} nodes") if nodes else None
    return found if nodes is None else _job(nodes, found.launch, found.seat, unique=found.unique)


def _of_slurm(environment: Mapping[str, str]) -> Job | None:
    """A step of several tasks (srun's output environment variables); a job that was requeued keeps its number."""
    step, tasks, task = (environment.get(f"SLURM_{name}", "") for name in ("STEP_ID", "STEP_NUM_TASKS", "PROCID"))
    if not (step and tasks.isdigit() and int(tasks) > 1 and task.isdigit()):
        return None
    number, restarts = environment.get("SLURM_JOB_ID", ""), environment.get("SLURM_RESTART_COUNT", "0")
    return _job(int(tasks), f"slurm {number}.{step} {restarts}", task, unique=True)


def _of_command(argv: Sequence[str], environment: Mapping[str, str]) -> Job | None:
    count = re.fullmatch(r"(?:(\d+):)?(\d+)", _option(NODES, argv, environment))
    if count is None or int(count[2]) < 2:
        return None
    # Not the address: a node may call its own otherwise than others do.
    meeting = (_option((name,), argv, environment) for name in MEETING)
    return _job(
        launchers=int(count[2]) if count[1] in (None, count[2]) else None,
        launch=" ".join(filter(None, (f"{count[0]} nodes", *meeting))),
        seat=_option(NODE_RANK, argv, environment),
    )


def _of_ranks(environment: Mapping[str, str]) -> Job | None:
    """A launcher a rank, as PyTorchJob and torchrun start it."""
    world, rank = environment.get("WORLD_SIZE", ""), environment.get("RANK", "")
    if not (world.isdigit() and int(world) > 1 and rank.isdigit()):
        return None
    return _job(int(world), f"{world} ranks {environment.get('MASTER_PORT', '')}".rstrip(), rank)


def _option(names: Sequence[str], argv: Sequence[str], environment: Mapping[str, str]) -> str:
    """What the command, or the environment, gives one of these options; empty where neither does."""
    for at, word in enumerate(argv):
        name, given, value = word.partition("=")
        if name.startswith("--") and name[2:].replace("-", "_") in names:
            return value if given else next(iter(argv[at + 1 :]), "")
    return next(filter(None, (environment.get(FROM_ENVIRONMENT + name.upper()) for name in names)), "")


def _job(launchers: int | None, launch: str, seat: str = "", *, unique: bool = False) -> Job:
    host = re.sub(r"[^\w.-]", "-", socket.gethostname()).strip(".") or "host"
    seat = seat if seat.isdigit() else ""
    return Job(launchers=launchers, launch=launch, unique=unique, seat=seat, node=".".join(filter(None, (host, seat))))
