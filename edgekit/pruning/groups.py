"""Channels that can only leave together, found by torch-pruning's dependency graph."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv
from torch_pruning import ops

from edgekit.core.model import run_module
from edgekit.core.tensors import FloatArray

_INPUTS_BY_RANK: Mapping[int, type[batchnorm._BatchNorm]] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}


@dataclass(frozen=True)
class ChannelGroup:
    """The channels of one layer, and everything that loses a slice with each of them.

    `blocks` is how many parts of equal size the channels have (in a grouped convolution or
    group norm); every part has to keep as many as the others. `weights` has an array of shape
    `[channels, n]` for every tensor that loses a slice.
    """

    layer: str
    channels: int
    blocks: int
    weights: tuple[FloatArray, ...]


class _Framed(nn.Module):
    """A module whose inputs and outputs the dependency graph can see.

    Otherwise the graph forgets a model's inputs, so it misses what is added to or joined with
    them, and it takes an output that is used further for an inner value.
    """

    def __init__(self, module: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.module = module
        self.frames = nn.ModuleList()
        self.framed = {}
        for name, value in inputs.items():
            if value.is_floating_point() and value.ndim in _INPUTS_BY_RANK:
                self.framed[name] = len(self.frames)
                frame = _INPUTS_BY_RANK[value.ndim](value.shape[1])
                self.frames.append(frame.to(value.dtype))
        self.eval()

    def forward(self, **inputs: Tensor) -> list[Tensor]:
        framed = {
            name: self.frames[self.framed[name]](value) if name in self.framed else value
            for name, value in inputs.items()
        }
        return [value * 1 for value in run_module(self.module, framed).values()]


class Groups:
    """All groups of a module, and the knife. The module is changed in place."""

    def __init__(self, module: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """Trace `module`, in eval mode, on inputs of shape `[rows, ...]`."""
        framed = _Framed(module, inputs)
        self._graph = torch_pruning.DependencyGraph().build_dependency(
            framed, example_inputs=dict(inputs), verbose=False
        )
        self._frames = set(framed.frames)
        self._names = {part: name for name, part in module.named_modules()}
        self._roots: dict[str, nn.Module] = {}

    def prunable(self, keep: frozenset[str]) -> Iterator[ChannelGroup]:
        """Yield the groups that touch no input, no output, and no module named in `keep`."""
        for group in self._graph.get_all_groups():
            parts = [(item.dep, item.idxs, item.root_idxs) for item in group]
            if any(self._is_fixed(dep, keep) for dep, _, _ in parts):
                continue
            root = group[0].dep.target.module
            channels = len(group[0].idxs)
            sliced = [
                (slices, places, roots)
                for dep, places, roots in parts
                if (slices := _slices(dep.target.module, self._makes(dep))) is not None
            ]
            # Behind a transpose the graph takes steps for channels, as where a linear layer mixes
            # steps; what it says of more channels than a layer has stays as wide as it is.
            if any(max(places) >= len(slices) for slices, places, _ in sliced):
                continue
            weights = [
                _by_root(slices[places], roots, channels)
                for slices, places, roots in sliced
                if None not in roots
            ]
            self._roots[self._names[root]] = root
            yield ChannelGroup(
                self._names[root],
                channels,
                math.lcm(*(_blocks(dep.target.module) for dep, _, _ in parts)),
                tuple(weights),
            )

    def cut(self, layer: str, channels: Sequence[int]) -> bool:
        """Remove channels of `layer` with all that hangs on them; false when none would be left."""
        root = self._roots[layer]
        out_channels = self._graph.get_pruner_of_module(root).prune_out_channels
        group = self._graph.get_pruning_group(root, out_channels, list(channels))
        if not self._graph.check_pruning_group(group):
            return False
        group.prune()
        return True

    def _makes(self, dep: Any) -> bool:  # noqa: ANN401  torch-pruning ships no types
        return bool(self._graph.is_out_channel_pruning_fn(dep.handler))

    def _is_fixed(self, dep: Any, keep: frozenset[str]) -> bool:  # noqa: ANN401  no types
        part = dep.target.module
        if dep.target.type == ops.OPTYPE.OUTPUT or part in self._frames:
            return True
        return self._makes(dep) and self._names.get(part) in keep


def _slices(part: object, makes: bool) -> Tensor | None:  # noqa: FBT001  two directions, one place
    """Return a layer's weight with what goes with one channel in a row, shape `[channels, n]`.

    `makes` tells whether the channels are those that the layer makes or those that it reads.
    """
    weight = getattr(part, "weight", None)
    if not isinstance(weight, Tensor):
        return None
    weight = weight.detach()
    if isinstance(part, conv._ConvNd):  # noqa: SLF001  the only name of all convolutions
        # Stored as [blocks, own side / blocks, other side / blocks, kernel].
        blocks = weight.reshape(part.groups, weight.shape[0] // part.groups, weight.shape[1], -1)
        if makes == part.transposed:
            blocks = blocks.transpose(1, 2)
        return blocks.reshape(blocks.shape[0] * blocks.shape[1], -1)
    if isinstance(part, nn.Linear):
        return weight if makes else weight.T
    if weight.ndim == 1:
        return weight[:, None]
    return None


def _by_root(slices: Tensor, roots: Sequence[int], channels: int) -> FloatArray:
    """Gather rows that belong to the same channel (many after a flatten) into one row each."""
    order = torch.argsort(torch.tensor(roots), stable=True)
    rows: FloatArray = slices[order].reshape(channels, -1).float().numpy()
    return rows


def _blocks(part: object) -> int:
    if isinstance(part, nn.GroupNorm):
        return part.num_groups
    if isinstance(part, conv._ConvNd) and not (  # noqa: SLF001  the only name of them all
        part.groups == part.in_channels == part.out_channels
    ):
        return part.groups
    return 1
