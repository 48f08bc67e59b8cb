"""Units that can leave a model, in groups that are ranked together, and what holds others."""

from collections.abc import Hashable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.core.model import run_module
from edgekit.core.tensors import FloatArray, IntArray
from edgekit.errors import UnsupportedError
from edgekit.pruning.literals import Gone, Literals
from edgekit.pruning.operators import rule_for
from edgekit.pruning.surgery import Surgery
from edgekit.pruning.ties import FIXED
from edgekit.pruning.trace import Slot, trace

_LOST = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What a model raises that was cut wrong."""

_USUAL = frozenset(
    {"weight", "weight_ih", "weight_hh", "weight_ih_l0", "weight_hh_l0", "in_proj_weight"}
)
"""Parameters that a layer is known by."""


@dataclass(frozen=True)
class UnitGroup:
    """The units of one layer: channels, features, hidden units of a recurrent layer, or heads.

    `rows` is how many of the layer's channels leave with a unit: one, or more where blocks of
    channels (of a grouped convolution, or an attention head) have to stay alike. `weights` has
    an array of shape `[units, n]` for every tensor that loses slices with each unit.
    """

    layer: str
    units: int
    rows: int
    weights: tuple[FloatArray, ...]


@dataclass(frozen=True)
class _Group:
    """A group with the class of each unit, and where each class is on each axis of a tensor."""

    shown: UnitGroup
    classes: IntArray
    slots: Mapping[Slot, IntArray]


class Groups:
    """All groups of a module, and how to cut them. The module is changed in place.

    `stuck` has, by the name of a layer, why its units cannot leave.
    """

    def __init__(self, module: nn.Module, inputs: Mapping[str, Tensor]) -> None:
        """Follow what `module`, in eval mode, does with inputs of shape `[rows, ...]`.

        Raises:
            UnsupportedError: What the model does cannot be followed.
        """
        try:
            self._trace = trace(module, inputs, rule_for)
        except _LOST as error:
            raise UnsupportedError(
                "the units of the model cannot be followed from layer to layer "
                f"({type(error).__name__}: {_first_line(error)})",
                hint="leave pruning out; quantization works without it",
            ) from error
        self._module, self._inputs = module, inputs
        self._outputs = self._run()
        self._surgery = Surgery(module)
        self._names = {part: name for name, part in module.named_modules()}
        self._classes = {
            slot: self._trace.ties.classes(numbers) for slot, numbers in self._trace.slots.items()
        }
        self._blurred, self._summed = (
            np.concatenate([np.empty(0, np.int64), *(ties.classes(part).ravel() for part in parts)])
            for ties in [self._trace.ties]
            for parts in (self._trace.blurred, self._trace.summed)
        )
        self._literals = Literals(module, self._trace)
        self._gone = Gone(np.empty(0, np.int64), {})
        self._groups: dict[str, _Group] = {}
        self.stuck: dict[str, str] = {}

    def prunable(self, keep: frozenset[str]) -> list[tuple[UnitGroup, ...]]:
        """Return the groups that touch no input, no output, and no module named in `keep`.

        Groups in one tuple have to lose as many units each, at once.
        """
        found = []
        for bundle in self._bundles():
            layer = self._layer(bundle[0])
            stopped = [name for slots in bundle for slot in slots if (name := self._stop(slot))]
            if stopped:
                self.stuck[layer] = f"what '{stopped[0]}' does to it cannot be followed"
                continue
            if any(FIXED in self._classes[slot] for slots in bundle for slot in slots):
                continue
            groups = [self._group(slots) for slots in bundle]
            if any(self._is_kept(group, keep) for group in groups):
                continue
            counts = {group.shown.units for group in groups}
            if len(counts) > 1 or not all(group.shown.weights for group in groups):
                self.stuck[layer] = "its units do not come in blocks of one size"
                continue
            self._groups.update((group.shown.layer, group) for group in groups)
            found.append(tuple(group.shown for group in groups))
        return found

    def cut(self, units: Mapping[str, Sequence[int]]) -> bool:
        """Remove units of layers, by name, with all that hangs on them, at once.

        Returns:
            Whether they are gone. They stay where the model would not run without them, or
            would compute something else than it does when nothing reads them.
        """
        groups = [self._groups[layer] for layer in units]
        gone = np.concatenate([self._groups[layer].classes[list(units[layer])] for layer in units])
        slices = self._slices(gone)
        expected = self._without(gone, slices)
        widths = self._widths(groups, slices)
        undo = self._surgery.cut(slices)
        classes = np.concatenate([self._gone.classes, gone])
        reason = ""
        for guess in self._literals.guesses(widths):
            after = Gone(classes, {**self._gone.sizes, **guess})
            self._literals.follow(after)
            reason = self._difference(expected)
            if not reason or self._adapts(groups, widths, expected):
                self._gone = after
                self.stuck.pop(groups[0].shown.layer, None)
                return True
        undo()
        self._literals.follow(self._gone)
        self.stuck[groups[0].shown.layer] = reason
        return False

    def _run(self) -> dict[str, Tensor]:
        with torch.no_grad():
            return run_module(self._module, self._inputs)

    def _without(self, gone: IntArray, slices: Mapping[Slot, IntArray]) -> dict[str, Tensor]:
        """Return what the model computes when nothing reads what goes.

        A norm over what goes and what stays changes by it; then only the shapes are told.
        """
        if np.isin(gone, self._blurred).any():
            return {name: value.new_empty(0) for name, value in self._outputs.items()}
        silent = {slot: places for slot, places in slices.items() if slot in self._trace.read}
        if np.isin(gone, self._summed).any():
            silent = dict(slices)
        undo = self._surgery.zero(silent)
        expected = self._run()
        undo()
        return expected

    def _difference(self, expected: Mapping[str, Tensor]) -> str:
        """Say why the model as it is now is not what it should be, or nothing if it is."""
        try:
            # Modules made of graphs print what they raise.
            with redirect_stderr(StringIO()):
                found = self._run()
        except _LOST as error:
            return _first_line(error)
        for name, value in self._outputs.items():
            if found[name].shape != value.shape:
                return f"outputs of shape {tuple(found[name].shape)}"
        if not all(_is_close(found[name], value) for name, value in expected.items()):
            return "it would compute something else"
        return ""

    def _adapts(
        self, groups: Sequence[_Group], widths: Mapping[int, int], expected: Mapping[str, Tensor]
    ) -> bool:
        """Change sizes that modules keep of their own, such as a number of heads, if that helps.

        `widths` has what sizes became. What does not help is put back.
        """
        around = dict.fromkeys(
            self._module.get_submodule(".".join(parts[:depth]))
            for group in groups
            for parts in [group.shown.layer.split(".")]
            for depth in reversed(range(len(parts) + 1))
            if ".".join(parts[:depth]) in self._names.values()
        )
        for part in around:
            sizes = [
                name
                for name, value in vars(part).items()
                if type(value) is int and value in widths and not name.startswith("_")
            ]
            for tried in (sizes, *([name] for name in sizes)) if len(sizes) > 1 else (sizes,):
                before = {name: vars(part)[name] for name in tried}
                vars(part).update((name, widths[size]) for name, size in before.items())
                if tried and not self._difference(expected):
                    return True
                vars(part).update(before)
        return False

    def _widths(self, groups: Sequence[_Group], slices: Mapping[Slot, IntArray]) -> dict[int, int]:
        """Return what the sizes of layers, and the numbers of their units, become."""
        found = {}
        for group in groups:
            for slot in group.slots:
                if slot in self._trace.made and slot in slices:
                    size, gone = len(self._classes[slot]), len(slices[slot])
                    units = group.shown.units
                    found[units] = units - units * gone // size
                    found[size] = size - gone
        return found

    def _slices(self, gone: IntArray) -> dict[Slot, IntArray]:
        """Return the places on every axis that belong to the classes that go."""
        found = {slot: np.isin(classes, gone) for slot, classes in self._classes.items()}
        return {slot: hit.nonzero()[0] for slot, hit in found.items() if hit.any()}

    def _bundles(self) -> list[list[list[Slot]]]:
        """Return the slots that make the units of each group, in bundles of groups."""
        made = {slot: set(self._classes[slot].tolist()) - {FIXED} for slot in self._trace.made}
        groups = [tuple(slots) for slots in _connected(made)]
        # One size holds for all layers and directions of a recurrent module.
        layers = {
            slots: {
                (id(owner), "weight_hr" in slot.tensor)
                for slot in slots
                for owner in self._surgery.owners(slot.tensor)
                if isinstance(owner, nn.RNNBase)
            }
            for slots in groups
        }
        return [[list(slots) for slots in bundle] for bundle in _connected(layers)]

    def _group(self, made: Sequence[Slot]) -> _Group:
        """Return the group whose units the slices of `made` are."""
        order = np.concatenate([self._classes[slot] for slot in made])
        classes = order[np.sort(np.unique(order, return_index=True)[1])]
        touched = self._slices(classes)
        slots = {slot: touched[slot] for slot in (*made, *touched)}
        weights = [
            array
            for slot, places in slots.items()
            if (array := self._rows(slot, places, classes)) is not None
        ]
        counts = [len(slots[slot]) // len(classes) for slot in made]
        is_recurrent = any(
            isinstance(owner, nn.RNNBase | nn.RNNCellBase)
            for slot in made
            for owner in self._surgery.owners(slot.tensor)
        )
        # The gates of a recurrent layer are no units of their own.
        rows = 1 if is_recurrent else max(1, *counts, 1)
        return _Group(
            UnitGroup(self._layer(made), len(classes), rows, tuple(weights)), classes, slots
        )

    def _rows(self, slot: Slot, places: IntArray, classes: IntArray) -> FloatArray | None:
        """Return the slices of a weight in the order of `classes`; none for biases and buffers."""
        tensor = self._surgery.tensor(slot.tensor)
        attribute = slot.tensor.rpartition(".")[2]
        if not isinstance(tensor, nn.Parameter) or attribute.startswith("bias"):
            return None
        of_each = self._classes[slot][places]
        present, counts = np.unique(of_each, return_counts=True)
        if len(present) != len(classes) or len(set(counts.tolist())) > 1:
            return None
        rank = np.argsort(classes)[np.searchsorted(classes, of_each, sorter=np.argsort(classes))]
        ordered = places[np.argsort(rank, kind="stable")]
        slices = tensor.detach().movedim(slot.axis, 0)[torch.from_numpy(ordered)]
        rows: FloatArray = slices.reshape(len(classes), -1).float().numpy()
        return rows

    def _layer(self, made: Sequence[Slot]) -> str:
        """Return the module that makes the units of a group, or the parameter if it is alone."""
        path, _, attribute = made[0].tensor.rpartition(".")
        name = path if attribute in _USUAL else made[0].tensor
        return name if name not in self._groups else made[0].tensor

    def _stop(self, slot: Slot) -> str:
        return self._trace.stopped.get(slot, "")

    def _is_kept(self, group: _Group, keep: frozenset[str]) -> bool:
        return any(
            self._names[owner] in keep
            for slot in group.slots
            if slot in self._trace.made or slot not in self._trace.read
            for owner in self._surgery.owners(slot.tensor)
        )


_K = TypeVar("_K", bound=Hashable)


def _connected(marks: Mapping[_K, AbstractSet[Hashable]]) -> list[list[_K]]:
    """Return the keys in sets that are tied by common marks, directly or through others."""
    found: list[tuple[list[_K], set[Hashable]]] = []
    for key, own in marks.items():
        near = [part for part in found if part[1] & own]
        members = [one for part in near for one in part[0]]
        merged = [*members, key], set(own).union(*(part[1] for part in near))
        found = [part for part in found if not part[1] & own] + [merged]
    return [members for members, _ in found]


def _is_close(found: Tensor, value: Tensor) -> bool:
    """Tell whether outputs are the same but for the order of summation."""
    if not value.numel() or not value.is_floating_point():
        return True
    scale = float(value.abs().nan_to_num(0, 0, 0).max())
    return torch.allclose(found, value, rtol=1e-3, atol=1e-3 * max(scale, 1e-6), equal_nan=True)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
