"""The end of an optimizer's step, by torch's own hook; newer torch loads torch.optim when it is first used."""

from types import ModuleType

from traceana_capture.agent.triggers import Triggers

MODULE = "torch.optim.optimizer"


def knows(name: str) -> bool:
    """Whether the module of this name is wrapped."""
    return name == MODULE


def wrap(module: ModuleType, triggers: Triggers, _backend: str) -> None:
    """Have the triggers told of each step's end."""
    module.register_optimizer_step_post_hook(lambda *_: triggers.optimizer_step())
