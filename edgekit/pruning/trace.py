"""Follows every slice of every weight through a run of the model.

The model runs once on example inputs. Each tensor that it computes is shadowed by numbers of the
same shape: whose slice a value vanishes with. Operators that only move values move the numbers;
what others do to them is in `edgekit.pruning.operators`. Recurrent layers and attention are
seen as the products and sums that they consist of.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from edgekit.core.model import run_module
from edgekit.pruning.ties import FIXED, Ties, narrowed


@dataclass(frozen=True)
class Slot:
    """One axis of a parameter or buffer, which is known by its first name."""

    tensor: str
    axis: int


@dataclass(frozen=True)
class Weight:
    """A tensor that is a parameter or buffer, moved about.

    `places` has, for every axis of the parameter, where on it each value comes from; each is
    of the tensor's shape.
    """

    name: str
    places: tuple[Tensor, ...]


@dataclass(frozen=True)
class Value:
    """A tensor that depends on inputs or is the product of weights, shadowed by `numbers`."""

    numbers: Tensor


Known = Weight | Value


@dataclass(frozen=True)
class Stack:
    """A tensor stacked from `parts`, which are tied by `join` unless they are only taken apart.

    Recurrent layers return the states of all layers in one tensor, whether it is used or not.
    """

    tensor: Tensor
    axis: int
    parts: Sequence[Tensor]
    join: Callable[[], None]


@dataclass(frozen=True)
class Call:
    """An operator of PyTorch's that was run: what it was given, and what it returned."""

    func: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    out: Any

    @property
    def name(self) -> str:
        """The operator's name, without its namespace and overload."""
        name: str = self.func._schema.name  # noqa: SLF001  the only way to it
        return name.split("::")[1]

    def axis(self, default: int) -> int:
        """Return the second argument of an operator that takes an axis there, if it was given."""
        axis: int = self.args[1] if len(self.args) > 1 else default
        return axis


Rule = Callable[["Trace", Call], None]


@dataclass
class Trace:
    """What a run showed.

    Attributes:
        ties: What leaves together.
        slots: The numbers of the slices along each axis that were asked for.
        made: Slots whose slices make a value each, in the order of the run: filters, rows.
        read: Slots whose slices read a value each.
        blurred: Numbers of values whose mean or variance is taken with those of others, so that
            the others change a little when one leaves.
        summed: Numbers of values that are added up without weights.
        stopped: Slots that stay since an operator, which is named, is not followed.
        results: What the nodes of a module that is a graph gave.
    """

    ties: Ties = field(default_factory=Ties)
    slots: dict[Slot, Tensor] = field(default_factory=dict)
    made: dict[Slot, None] = field(default_factory=dict)
    read: dict[Slot, None] = field(default_factory=dict)
    blurred: list[Tensor] = field(default_factory=list)
    summed: list[Tensor] = field(default_factory=list)
    stopped: dict[Slot, str] = field(default_factory=dict)
    results: dict[fx.Node, object] = field(default_factory=dict)
    _blocked: list[tuple[str, Tensor]] = field(default_factory=list)
    _stacks: dict[int, Stack] = field(default_factory=dict)
    _ragged: list[Tensor] = field(default_factory=list)
    # Tensors are kept, so that no other one gets the same id.
    _known: dict[int, tuple[Tensor, Known]] = field(default_factory=dict)

    def is_known(self, tensor: Tensor) -> bool:
        """Tell whether a tensor depends on inputs or weights."""
        return id(tensor) in self._known or id(tensor) in self._stacks

    def known(self, tensor: Tensor) -> Known | None:
        """Return what is known of a tensor; nothing if it is the same in every run."""
        stack = self._stacks.pop(id(tensor), None)
        if stack is not None:
            stack.join()
        entry = self._known.get(id(tensor))
        return entry[1] if entry else None

    def set(self, tensor: Tensor, known: Known, shape: Sequence[int] | None = None) -> None:
        """Note what a tensor is; `shape` is what it had, if it was changed in place since."""
        if isinstance(known, Value):
            numbers = known.numbers.expand(tensor.shape if shape is None else shape)
            if len(self.ties.varying(numbers)) > 1:
                self._ragged.append(narrowed(numbers))
            known = Value(numbers)
        self._known[id(tensor)] = tensor, known

    def set_stack(self, stack: Stack) -> None:
        """Note that a tensor is a stack of others."""
        self._stacks[id(stack.tensor)] = stack

    def stack(self, tensor: Tensor, axis: int) -> Stack | None:
        """Return the stack that a tensor is along an axis, if nothing else was done to it."""
        found = self._stacks.get(id(tensor))
        return found if found is not None and found.axis == axis else None

    def add_weight(self, name: str, tensor: Tensor) -> None:
        """Note that a tensor is the parameter or buffer of that name."""
        if tensor.numel() == 1:
            # A number has no slices, and is the same in every run.
            return
        places = tuple(
            torch.arange(size).view(-1, *[1] * (tensor.ndim - 1 - axis)).expand(tensor.shape)
            for axis, size in enumerate(tensor.shape)
        )
        self.set(tensor, Weight(name, places))

    def slot(self, weight: Weight, axis: int, places: Tensor) -> Tensor:
        """Return the numbers of the slices at `places` along an axis of a weight."""
        numbers = self.slots[Slot(weight.name, axis)]
        return numbers[places] if numbers.numel() > 1 else numbers[0].expand(places.shape)

    def numbers(self, tensor: Tensor) -> Tensor:
        """Return the numbers of a tensor, of its shape.

        A weight used as a value (a learned token) has those of its last axis of several.
        """
        known = self.known(tensor)
        if isinstance(known, Value):
            return known.numbers
        if isinstance(known, Weight):
            for axis in reversed(range(len(known.places))):
                if self.slots[Slot(known.name, axis)].numel() > 1:
                    return self.slot(known, axis, known.places[axis])
        return torch.zeros((), dtype=torch.int64).expand(tensor.shape)

    def reshaped(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """Return a tensor in another shape; what is known of a weight goes along."""
        known, result = self.known(tensor), tensor.reshape(shape)
        if isinstance(known, Weight):
            self.set(result, Weight(known.name, tuple(p.reshape(shape) for p in known.places)))
        return result

    def block(self, operator: str, tensors: Iterable[Tensor]) -> None:
        """Let everything that `tensors` hang on stay, since `operator` cannot be followed."""
        for tensor in tensors:
            known = self.known(tensor)
            if isinstance(known, Weight):
                axes = [self.slot(known, axis, part) for axis, part in enumerate(known.places)]
            else:
                axes = [self.numbers(tensor)]
            for numbers in axes:
                flat = np.unique(self.ties.classes(narrowed(numbers)))
                self._blocked.append((operator, torch.from_numpy(flat)))

    def settle(self) -> None:
        """Let every tensor keep straight edges, and what cannot be followed stay.

        Where a split axis is tied along neither part, every block loses the same places.
        """
        for operator, numbers in self._blocked:
            classes = self.ties.classes(numbers)
            free = classes[classes != FIXED]
            for slot in self.made:
                if np.isin(self.ties.classes(self.slots[slot]), free).any():
                    self.stopped.setdefault(slot, operator)
            self.ties.fix(numbers)
        is_ragged = True
        while is_ragged:
            is_ragged = False
            for numbers in self._ragged:
                axes = self.ties.varying(numbers)
                if len(axes) > 1:
                    is_ragged = True
                    self.ties.merge(numbers, axes[:-1])


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # PyTorch's own has no types
    def __init__(self, trace: Trace, rule_for: Callable[[Call], Rule]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # see above
        self._trace, self._rule_for = trace, rule_for

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401  PyTorch gives its operators no public type
        types: object,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401  whatever the operator returns
        given = kwargs or {}
        out = func(*args, **given)
        if any(self._trace.is_known(part) for part in tensors_in((args, given))):
            call = Call(func, args, given, out)
            self._rule_for(call)(self._trace, call)
        return out


def trace(
    module: nn.Module, inputs: Mapping[str, Tensor], rule_for: Callable[[Call], Rule]
) -> Trace:
    """Run `module`, in eval mode, on inputs of shape `[rows, ...]`, and return what it showed."""
    found = Trace()
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        for axis, size in enumerate(tensor.shape):
            numbers = found.ties.new(size) if size > 1 else torch.zeros(1, dtype=torch.int64)
            found.slots[Slot(name, axis)] = numbers
        found.add_weight(name, tensor)
    for tensor in inputs.values():
        found.set(tensor, Value(torch.zeros((), dtype=torch.int64)))
    with torch.no_grad(), _plain_operators(), _Recorder(found, rule_for):
        outputs = run_module(_watched(module, inputs, found), inputs)
    _tie_states(module, found)
    for tensor in outputs.values():
        found.ties.fix(narrowed(found.numbers(tensor)))
    found.settle()
    return found


def _watched(module: nn.Module, inputs: Mapping[str, Tensor], found: Trace) -> nn.Module:
    """Return what runs a graph node by node and notes what each gives; else the module itself."""
    if not isinstance(module, fx.GraphModule):
        return module
    names = [str(node.target) for node in module.graph.find_nodes(op="placeholder")]
    # A graph whose inputs have names that are no names in Python takes them in order.
    order = [name for name in names if name in inputs] or list(inputs)
    return _Watched(module, [list(inputs).index(name) for name in order], found)


class _Watched(nn.Module):
    def __init__(self, graph: fx.GraphModule, order: Sequence[int], found: Trace) -> None:
        super().__init__()
        self._interpreter, self._order = _Watcher(graph, found), order

    def forward(self, *inputs: Tensor) -> object:
        return self._interpreter.run(*(inputs[place] for place in self._order))


class _Watcher(fx.Interpreter):
    def __init__(self, graph: fx.GraphModule, found: Trace) -> None:
        super().__init__(graph)
        self._found = found

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        self._found.results[n] = result
        return result


def _tie_states(module: nn.Module, found: Trace) -> None:
    """Tie what a recurrent layer makes of a step to what it reads at the next, if there is one."""
    for path, part in module.named_modules():
        for name, parameter in part.named_parameters(prefix=path, recurse=False):
            if "weight_hh" not in name or not isinstance(part, nn.RNNBase | nn.RNNCellBase):
                continue
            slots = found.slots
            gates, state = slots[Slot(name, 0)], slots[Slot(name, 1)]
            units = gates.reshape(-1, part.hidden_size)
            found.ties.tie(units, units[:1])
            smaller = name.replace("weight_hh", "weight_hr")
            if Slot(smaller, 0) in slots:
                found.ties.tie(state, slots[Slot(smaller, 0)])
            elif parameter.shape[1] == part.hidden_size:
                found.ties.tie(state, units[0])


@contextmanager
def _plain_operators() -> Iterator[None]:
    """Let layers run as the operators they consist of, not as one of their own."""
    enabled = torch._C._get_mkldnn_enabled()  # noqa: SLF001  the public one warns of other machines
    fast = torch.backends.mha.get_fastpath_enabled()
    torch._C._set_mkldnn_enabled(False)  # noqa: SLF001, FBT003  see above
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch._C._set_mkldnn_enabled(enabled)  # noqa: SLF001  see above
        torch.backends.mha.set_fastpath_enabled(fast)


def tensors_in(values: object) -> Iterator[Tensor]:
    """Yield the tensors among the arguments or results of an operator."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, list | tuple):
        for value in values:
            yield from tensors_in(value)
    elif isinstance(values, Mapping):
        yield from tensors_in(list(values.values()))
