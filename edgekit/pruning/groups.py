"""Channels that can only leave together, found by torch-pruning's dependency graph."""

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch_pruning
from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv
from torch_pruning import ops

from edgekit.core.model import run_module
from edgekit.core.tensors import FloatArray
from edgekit.errors import UnsupportedError

_INPUTS_BY_RANK: Mapping[int, type[batchnorm._BatchNorm]] = {
    2: nn.BatchNorm1d,
    3: nn.BatchNorm1d,
    4: nn.BatchNorm2d,
    5: nn.BatchNorm3d,
}

_LOST = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What torch-pruning raises where it loses track of channels, and a model cut wrong."""


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
    them, and it takes an output that is used further for an inner value. What layers make that
    no output depends on is an output here: the graph starts at outputs, and would leave such a
    layer reading what others no longer make.
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
        made: list[Tensor] = []
        hooks = [
            part.register_forward_hook(lambda _part, _inputs, output: made.append(output))
            for part in self.module.modules()
            if isinstance(part, nn.Linear | conv._ConvNd)  # noqa: SLF001  the only name of all
        ]
        try:
            outputs = list(run_module(self.module, framed).values())
        finally:
            for hook in hooks:
                hook.remove()
        used = _leading_to(outputs)
        unused = [value for value in made if value.grad_fn not in used]
        return [value * 1 for value in (*outputs, *unused)]


def _leading_to(outputs: Sequence[Tensor]) -> set[object]:
    """Return the steps of computation that `outputs` (any shape) depend on."""
    found: set[object] = set()
    ahead: list[Any] = [value.grad_fn for value in outputs]
    while ahead:
        step = ahead.pop()
        if step is not None and step not in found:
            found.add(step)
            ahead += [before for before, _ in step.next_functions]
    return found


_Places = Sequence[object]
_Mapping = Callable[[_Places], _Places]

_ROUNDS = 4
"""Index mappings a group may take for every dependency; a dense block of 12 layers takes 0.3."""


class _Bounds:
    """What following the channels of one group may take: `most` indices and so many `steps`.

    Where the graph takes one reshaping for another, indices multiply with every round, or go
    round for ever.
    """

    def __init__(self, most: int, steps: int) -> None:
        self._most = most
        self._steps = self._left = steps

    def renew(self) -> None:
        """Begin with another group."""
        self._left = self._steps

    def applied(self, mapping: _Mapping) -> _Mapping:
        """Return `mapping`, refusing to go beyond the bounds."""

        def mapped(places: _Places) -> _Places:
            found = mapping(places)
            self._left -= 1
            if len(found) > self._most or self._left < 0:
                raise IndexError("the channels go round in circles")
            return found

        return mapped


class _Bounded(list[_Mapping | None]):
    """The index mappings of a dependency, within bounds."""

    def __init__(self, mappings: Sequence[Any], bounds: _Bounds) -> None:
        super().__init__(mappings)
        self._bounds = bounds

    def __iter__(self) -> Iterator[_Mapping | None]:
        for mapping in super().__iter__():
            yield None if mapping is None else self._bounds.applied(mapping)


class _Restorable:
    """What cutting changes about a part of the model, or of the graph, as it was."""

    def __init__(self, part: nn.Module) -> None:
        self._part = part
        # Only what holds other things is changed in place.
        self._attributes = {
            name: copy.copy(value) if isinstance(value, dict | list | set) else value
            for name, value in vars(part).items()
        }

    def restore(self) -> None:
        """Put everything back."""
        vars(self._part).clear()
        vars(self._part).update(self._attributes)


class Groups:
    """All groups of a module, and the knife. The module is changed in place.

    `stuck` has, by the name of a layer, why its channels cannot leave.
    """

    def __init__(self, module: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """Trace `module`, in eval mode, on inputs of shape `[rows, ...]`.

        Raises:
            UnsupportedError: The dependency graph cannot be built.
        """
        framed = _Framed(module, inputs)
        try:
            self._graph = torch_pruning.DependencyGraph().build_dependency(
                framed, example_inputs=dict(inputs), verbose=False
            )
        except _LOST as error:
            raise UnsupportedError(
                "the channels of the model cannot be followed from layer to layer "
                f"({type(error).__name__}: {error})",
                hint="leave out the prune section; quantization works without it",
            ) from error
        most = max((size for value in framed.parameters() for size in value.shape), default=0)
        deps = [dep for node in self._graph.module2node.values() for dep in node.dependencies]
        self._bounds = _Bounds(most, _ROUNDS * len(deps))
        for dep in deps:
            dep.index_mapping = _Bounded(dep.index_mapping, self._bounds)
        self._module, self._inputs = module, inputs
        self._shapes = self._run()
        self._frames = set(framed.frames)
        self._names = {part: name for name, part in module.named_modules()}
        self._roots: dict[str, nn.Module] = {}
        self.stuck: dict[str, str] = {}

    def prunable(self, keep: frozenset[str]) -> Iterator[ChannelGroup]:
        """Yield the groups that touch no input, no output, and no module named in `keep`."""
        seen: set[nn.Module] = set()
        for root in list(self._graph.module2node):
            if root in seen or not isinstance(root, nn.Linear | conv._ConvNd):  # noqa: SLF001  all
                continue
            try:
                parts = self._parts(root)
                seen.update(dep.target.module for dep, _, _ in parts if self._makes(dep))
                if not any(self._is_fixed(dep, keep) for dep, _, _ in parts):
                    yield self._group(root, parts)
            except _LOST as error:
                if root in self._names:
                    self.stuck[self._names[root]] = f"{type(error).__name__}: {error}"

    def cut(self, layer: str, channels: Sequence[int]) -> bool:
        """Remove channels of `layer` with all that hangs on them.

        Returns:
            Whether they are gone. They stay where none would be left, and where the model would
            not run without them or would give outputs of another shape.
        """
        root = self._roots[layer]
        changed: list[_Restorable] = []
        try:
            out_channels = self._graph.get_pruner_of_module(root).prune_out_channels
            self._bounds.renew()
            group = self._graph.get_pruning_group(root, out_channels, list(channels))
            if not self._graph.check_pruning_group(group):
                return False
            targets = dict.fromkeys(dep.target.module for dep, _ in group)
            changed = [_Restorable(part) for part in targets if isinstance(part, nn.Module)]
            group.prune()
            found = self._run()
            reason = "" if found == self._shapes else f"outputs of shape {found}"
        except _LOST as error:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
        if reason:
            self.stuck[layer] = reason
            for part in changed:
                part.restore()
        return not reason

    def _run(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the model's outputs."""
        with torch.no_grad():
            outputs = run_module(self._module, self._inputs)
        return {name: tuple(value.shape) for name, value in outputs.items()}

    def _parts(self, root: nn.Module) -> list[tuple[Any, Sequence[int], Sequence[int]]]:
        pruner = self._graph.get_pruner_of_module(root)
        self._bounds.renew()
        every = list(range(pruner.get_out_channels(root)))
        group = self._graph.get_pruning_group(root, pruner.prune_out_channels, every)
        return [(item.dep, item.idxs, item.root_idxs) for item in group]

    def _group(
        self, root: nn.Module, parts: Sequence[tuple[Any, Sequence[int], Sequence[int]]]
    ) -> ChannelGroup:
        channels = len(parts[0][1])
        weights = []
        for dep, places, roots in parts:
            slices = _slices(dep.target.module, self._makes(dep))
            # Behind a transpose the graph takes steps for channels, as where a linear layer mixes
            # steps.
            if slices is not None and not 0 <= min(places) <= max(places) < len(slices):
                raise IndexError(f"{len(slices)} channels, and more are asked for")
            if slices is not None and None not in roots:
                weights.append(_by_root(slices[places], roots, channels))
        self._roots[self._names[root]] = root
        blocks = math.lcm(*(_blocks(dep.target.module) for dep, _, _ in parts))
        return ChannelGroup(self._names[root], channels, blocks, tuple(weights))

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
    # A PReLU with one slope for all channels loses nothing with a channel.
    if weight.ndim == 1 and not (isinstance(part, nn.PReLU) and len(weight) == 1):
        return weight[:, None]
    return None


def _by_root(slices: Tensor, roots: Sequence[int], channels: int) -> FloatArray:
    """Gather rows that belong to the same channel (many after a flatten) into one row each.

    Raises:
        ValueError: Not every channel has as many.
    """
    of_each = Counter(roots)
    if len(of_each) != channels or len(set(of_each.values())) > 1:
        raise ValueError("the channels of the group do not come in rows of one length")
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
