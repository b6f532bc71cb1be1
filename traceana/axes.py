"""The axis along which a process group divides the work, from the description that its maker gave it.

Read in the sources of torch (`mesh_tp`, `mesh_dp_shard_cp`), sglang and vLLM (`tp:device`), Megatron
(`TENSOR_MODEL_PARALLEL_GROUP`), diffusers and xfuser (`ulysses`, `ring`).
"""

import re

# Words of descriptions, and the axis that they name. Groups over several axes name each.
_AXES = {
    "TP": "tp|tensor|attntp|moetp",
    "PP": "pp|pipeline|pipe|stage",
    "DP": "dp|ddp|fsdp|hsdp|data|replicate|shard|batch",
    "CP": "cp|dcp|pcp|context",
    "EP": "ep|moeep|expert|experts|eplb",
    "Ulysses": "ulysses",
    "ring": "ring",
    "SP": "sp|sequence|seq",
    "CFG": "cfg|guidance",
}
_OF_WORD = {word: axis for axis, words in _AXES.items() for word in words.split("|")}
_JOIN = "+"


def axis_of(description: str | None) -> str | None:
    """The axis of a group with this description, such as "TP" or "DP+CP"; None where its words name none."""
    words = re.split(r"[^a-z]+", (description or "").lower())
    # Sglang's and vLLM's groups over several processes of one axis are numbered: tp:0, tp2.
    found = dict.fromkeys(_OF_WORD[word] for word in words if word in _OF_WORD)
    return _JOIN.join(found) or None
