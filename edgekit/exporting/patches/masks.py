"""Keeps PyTorch's own Transformer from looking at the values of a mask while it is exported."""

import contextlib
from collections.abc import Iterator

from torch import Tensor
from torch.nn.modules import transformer


@contextlib.contextmanager
def masks_taken_as_they_are() -> Iterator[None]:
    """Let `nn.TransformerEncoder` and `nn.TransformerDecoder` be exported with any mask.

    They compare a mask with a causal one, to choose a faster kernel if they are alike. That is
    a branch on values, which `torch.export` refuses; the result is the same either way.
    """
    looks = transformer._detect_is_causal_mask  # noqa: SLF001  PyTorch has no switch for it
    transformer._detect_is_causal_mask = _as_told  # noqa: SLF001  see above
    try:
        yield
    finally:
        transformer._detect_is_causal_mask = looks  # noqa: SLF001  see above


def _as_told(
    mask: Tensor | None,  # noqa: ARG001  PyTorch's signature
    is_causal: bool | None = None,  # noqa: FBT001  see above
    size: int | None = None,  # noqa: ARG001  see above
) -> bool:
    return is_causal is True
