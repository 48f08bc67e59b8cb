"""Names for the parts of an imported module, made from the names in the file."""

import keyword
import re
from typing import cast

import torch
from torch import nn

_RESERVED = frozenset({*dir(nn.Module()), *keyword.kwlist})
"""Neither a module's own attributes (`training`, `float`, ...) nor words of Python's grammar (the
`while` of a Keras loop) can name a part of it."""


def identifier(name: str) -> str:
    """Turn a name into one that Python accepts, or into nothing."""
    text = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    return f"_{text}" if text[:1].isdigit() else text


def is_parameter_name(name: str) -> bool:
    """Whether `forward` can have a parameter of that name."""
    return name.isidentifier() and not keyword.iskeyword(name) and name != "self"


def free_path(root: nn.Module, name: str) -> str:
    """Return a dotted path for a name (`/encoder/0/Conv`, `encoder.0.weight`) not yet in use."""
    parts = [re.sub(r"\W+", "_", part, flags=re.ASCII) for part in re.split(r"[./:]+", name)]
    path = ".".join(f"{p}_" if p in _RESERVED else p for p in parts if p) or "constant"
    if _is_blocked(root, path):
        path = path.replace(".", "_")
    taken, count = path, 1
    while _is_occupied(root, taken):
        taken = f"{path}_{count}"
        count += 1
    return taken


def nest(root: nn.Module, path: str, value: nn.Module | torch.Tensor) -> None:
    """Put a module, parameter or buffer at a dotted path, with containers on the way."""
    *parents, last = path.split(".")
    holder = root
    for part in parents:
        if not hasattr(holder, part):
            holder.add_module(part, nn.Module())
        holder = cast("nn.Module", getattr(holder, part))
    if isinstance(value, nn.Module):
        holder.add_module(last, value)
    elif isinstance(value, nn.Parameter):
        holder.register_parameter(last, value)
    else:
        holder.register_buffer(last, value)


def _is_blocked(root: nn.Module, path: str) -> bool:
    """Whether something that is no container stands in the way of a nested name."""
    holder: object = root
    for part in path.split(".")[:-1]:
        holder = getattr(holder, part, None)
        if holder is None:
            return False
        if type(holder) is not nn.Module:
            return True
    return False


def _is_occupied(root: nn.Module, path: str) -> bool:
    holder: object = root
    for part in path.split("."):
        if not hasattr(holder, part):
            return False
        holder = getattr(holder, part)
    return True
