"""Takes slices out of tensors of a module, and lets the module know its new sizes."""

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv

from edgekit.core.tensors import IntArray
from edgekit.pruning.trace import Slot


class Surgery:
    """The tensors of a module by name, what is left of each, and the knife."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._owners: dict[str, list[tuple[nn.Module, str]]] = {}
        first: dict[int, str] = {}
        named = (
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        )
        for name, tensor in named:
            path, _, attribute = name.rpartition(".")
            known = first.setdefault(id(tensor), name)
            owner = module.get_submodule(path), attribute
            self._owners.setdefault(known, []).append(owner)
        self._left: dict[Slot, Tensor] = {}
        # Once cut, groups of one channel each look alike.
        self._depthwise = {part for part in module.modules() if _is_depthwise(part)}

    def tensor(self, name: str) -> Tensor:
        """Return a parameter or buffer as it is now."""
        owner, attribute = self._owners[name][0]
        found = getattr(owner, attribute)
        assert isinstance(found, Tensor)
        return found

    def owners(self, name: str) -> list[nn.Module]:
        """Return the modules that hold a parameter or buffer."""
        return [owner for owner, _ in self._owners[name]]

    def places(self, slot: Slot, places: IntArray) -> Tensor:
        """Return where those of the slices at `places`, `[slices]`, that are left are now."""
        left = self._left.get(slot)
        wanted = torch.from_numpy(places)
        return wanted if left is None else torch.isin(left, wanted).nonzero()[:, 0]

    def zero(self, slices: Mapping[Slot, IntArray]) -> Callable[[], None]:
        """Set slices to zero, `[slices]` places of each slot, and return what undoes it."""
        names = dict.fromkeys(slot.tensor for slot in slices)
        before = {name: self.tensor(name).detach().clone() for name in names}
        with torch.no_grad():
            for slot, places in slices.items():
                self.tensor(slot.tensor).index_fill_(slot.axis, self.places(slot, places), 0)

        def undo() -> None:
            with torch.no_grad():
                for name, tensor in before.items():
                    self.tensor(name).copy_(tensor)

        return undo

    def cut(self, slices: Mapping[Slot, IntArray]) -> Callable[[], None]:
        """Take slices out, `[slices]` places of each slot; return what puts everything back."""
        changed = dict.fromkeys(owner for slot in slices for owner, _ in self._owners[slot.tensor])
        parts = [_Restorable(part) for part in changed]
        left = dict(self._left)
        for slot, places in slices.items():
            size = self.tensor(slot.tensor).shape[slot.axis]
            gone = self.places(slot, places)
            stays = torch.ones(size, dtype=torch.bool).index_fill_(0, gone, value=False)
            before = self._left.get(slot, torch.arange(size))
            self._left[slot] = before[stays]
            self._take(slot, stays.nonzero()[:, 0])
        for part in changed:
            if part in self._depthwise:
                _tell_groups(part)
            tell_sizes(part)

        def undo() -> None:
            self._left = left
            for part in parts:
                part.restore()

        return undo

    def _take(self, slot: Slot, places: Tensor) -> None:
        tensor = self.tensor(slot.tensor)
        smaller = tensor.detach().index_select(slot.axis, places).contiguous()
        if isinstance(tensor, nn.Parameter):
            smaller = nn.Parameter(smaller, requires_grad=tensor.requires_grad)
        for owner, attribute in self._owners[slot.tensor]:
            setattr(owner, attribute, smaller)


class _Restorable:
    """What cutting changes about a part of the model, as it was."""

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


def tell_sizes(part: nn.Module) -> None:
    """Let a module of PyTorch's say the sizes that its tensors have."""
    for kinds, tell in _TELL:
        if isinstance(part, kinds):
            tell(part)
            return


def _linear(part: nn.Module) -> None:
    assert isinstance(part, nn.Linear)
    part.out_features, part.in_features = part.weight.shape


def _is_depthwise(part: nn.Module) -> bool:
    return isinstance(part, conv._ConvNd) and part.groups == part.in_channels > 1  # noqa: SLF001  the only name of all convolutions


def _tell_groups(part: nn.Module) -> None:
    """Let a convolution whose channels have filters of their own say how many are left."""
    assert isinstance(part, conv._ConvNd)  # noqa: SLF001  the only name of all convolutions
    channels = len(part.weight)
    part.groups = channels if part.transposed else channels * part.groups // part.out_channels


def _convolution(part: nn.Module) -> None:
    assert isinstance(part, conv._ConvNd)  # noqa: SLF001  the only name of all convolutions
    one, other = part.weight.shape[:2]
    if part.transposed:
        part.in_channels, part.out_channels = one, other * part.groups
    else:
        part.out_channels, part.in_channels = one, other * part.groups


def _batch_norm(part: nn.Module) -> None:
    assert isinstance(part, batchnorm._NormBase)  # noqa: SLF001  the only name of all
    tensors = [*part.parameters(), *(one for one in part.buffers() if one.ndim)]
    if tensors:
        part.num_features = len(tensors[0])


def _group_norm(part: nn.Module) -> None:
    assert isinstance(part, nn.GroupNorm)
    part.num_channels = len(part.weight)


def _layer_norm(part: nn.Module) -> None:
    assert isinstance(part, nn.LayerNorm)
    part.normalized_shape = tuple(part.weight.shape)


def _embedding(part: nn.Module) -> None:
    assert isinstance(part, nn.Embedding | nn.EmbeddingBag)
    part.embedding_dim = part.weight.shape[1]


def _slopes(part: nn.Module) -> None:
    assert isinstance(part, nn.PReLU)
    part.num_parameters = len(part.weight)


_GATES = {"LSTM": 4, "GRU": 3}


def _recurrent(part: nn.Module) -> None:
    assert isinstance(part, nn.RNNBase)
    recurrent, reading = part.weight_hh_l0, part.weight_ih_l0
    assert isinstance(recurrent, Tensor)
    assert isinstance(reading, Tensor)
    part.input_size = reading.shape[1]
    part.hidden_size = len(recurrent) // _GATES.get(part.mode, 1)
    if part.proj_size:
        part.proj_size = recurrent.shape[1]


def _cell(part: nn.Module) -> None:
    assert isinstance(part, nn.RNNCellBase)
    part.hidden_size, part.input_size = part.weight_hh.shape[1], part.weight_ih.shape[1]


_TELL: tuple[tuple[type[nn.Module] | tuple[type[nn.Module], ...], Callable[[nn.Module], None]], ...]
_TELL = (
    (nn.Linear, _linear),
    (conv._ConvNd, _convolution),  # noqa: SLF001  the only name of all convolutions
    (batchnorm._NormBase, _batch_norm),  # noqa: SLF001  the only name of all
    (nn.GroupNorm, _group_norm),
    (nn.LayerNorm, _layer_norm),
    ((nn.Embedding, nn.EmbeddingBag), _embedding),
    (nn.PReLU, _slopes),
    (nn.RNNBase, _recurrent),
    (nn.RNNCellBase, _cell),
)
