"""Functions that no converter knows, in terms of others, while a model is exported."""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

_POOLS: tuple[Callable[..., Tensor], ...] = (
    functional.max_pool1d,
    functional.max_pool2d,
    functional.max_pool3d,
)


@contextlib.contextmanager
def functions_spelled_out() -> Iterator[None]:
    """Let models with bags, adaptive max pooling, one-hot vectors or RReLU be exported, inside.

    Layers call these functions by the names that are replaced here, as most models do.
    """
    spelled = {
        "embedding_bag": _spelled_bag(functional.embedding_bag),
        "one_hot": _spelled_one_hot(functional.one_hot),
        "rrelu": _spelled_rrelu(functional.rrelu),
    }
    for axes in (1, 2, 3):
        name = f"adaptive_max_pool{axes}d"
        spelled[name] = _spelled_pool(getattr(functional, name), axes)
    originals = {name: getattr(functional, name) for name in spelled}
    for name, function in spelled.items():
        setattr(functional, name, function)
    try:
        yield
    finally:
        for name, function in originals.items():
            setattr(functional, name, function)


def _spelled_bag(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `F.embedding_bag` as a look-up and a sum or mean, where bags are of one size."""
    signature = inspect.signature(original)

    def embedding_bag(*arguments: object, **named: object) -> Tensor:
        told = signature.bind(*arguments, **named)
        told.apply_defaults()
        given = told.arguments
        tokens, weight, weights = given["input"], given["weight"], given["per_sample_weights"]
        mode, padding_idx = given["mode"], given["padding_idx"]
        is_plain = given["offsets"] is None and given["max_norm"] is None
        if not is_plain or tokens.dim() != 2 or mode not in {"sum", "mean"}:
            return original(*arguments, **named)
        vectors = functional.embedding(tokens, weight)
        if weights is not None:
            vectors = vectors * weights.unsqueeze(2)
        if padding_idx is None:
            return vectors.sum(1) if mode == "sum" else vectors.mean(1)
        is_counted = (tokens != padding_idx % len(weight)).to(weight.dtype).unsqueeze(2)
        total = (vectors * is_counted).sum(1)
        counts = is_counted.sum(1).clamp(min=1)
        result: Tensor = total if mode == "sum" else total / counts
        return result

    return embedding_bag


def _spelled_one_hot(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `F.one_hot` as comparisons, where the number of classes is told."""

    def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
        if num_classes < 1:
            return original(tensor, num_classes)
        classes = torch.arange(num_classes, device=tensor.device)
        return (tensor.unsqueeze(-1) == classes).to(torch.int64)

    return one_hot


def _spelled_rrelu(original: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return `F.rrelu` as the leaky ReLU that it is outside of training."""

    def rrelu(
        input: Tensor,  # noqa: A002  PyTorch's own name
        lower: float = 1 / 8,
        upper: float = 1 / 3,
        training: bool = False,  # noqa: FBT001, FBT002  PyTorch's own signature
        inplace: bool = False,  # noqa: FBT001, FBT002  the same
    ) -> Tensor:
        if training:
            return original(input, lower, upper, training, inplace)
        return functional.leaky_relu(input, (lower + upper) / 2)

    return rrelu


def _spelled_pool(original: Callable[..., Tensor], axes: int) -> Callable[..., Tensor]:
    """Return `F.adaptive_max_pool{axes}d` as a pooling, or as windows if those are uneven."""

    def adaptive_max_pool(
        input: Tensor,  # noqa: A002  PyTorch's own name
        output_size: int | Sequence[int | None],
        return_indices: bool = False,  # noqa: FBT001, FBT002  PyTorch's own signature
    ) -> Tensor:
        if return_indices:
            return original(input, output_size, return_indices)
        asked = (output_size,) * axes if isinstance(output_size, int) else output_size
        there = input.shape[-axes:]
        sizes = [size if told is None else told for told, size in zip(asked, there, strict=True)]
        if all(size % wanted == 0 for size, wanted in zip(there, sizes, strict=True)):
            kernel = [size // wanted for size, wanted in zip(there, sizes, strict=True)]
            return _POOLS[axes - 1](input, kernel)
        for axis, wanted in enumerate(sizes, start=-axes):
            input = _windows(input, axis, wanted)  # noqa: A001  PyTorch's own name
        return input

    return adaptive_max_pool


def _windows(values: Tensor, axis: int, count: int) -> Tensor:
    """Return the largest value of each of `count` windows along `axis`; they may overlap."""
    size = values.shape[axis]
    starts = [place * size // count for place in range(count)]
    ends = [-(-(place + 1) * size // count) for place in range(count)]
    return torch.cat(
        [
            values.narrow(axis, start, end - start).amax(axis, keepdim=True)
            for start, end in zip(starts, ends, strict=True)
        ],
        axis,
    )
