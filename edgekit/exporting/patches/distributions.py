"""Lets a policy that returns what a distribution makes of its outputs be exported."""

import contextlib
from collections.abc import Iterator

from torch.distributions import Distribution


@contextlib.contextmanager
def distributions_taken_as_they_are() -> Iterator[None]:
    """Leave out the checks of `torch.distributions` in the body: they ask tensors for values.

    The model was run with them before; no file could hold them.
    """
    checks = Distribution._validate_args  # noqa: SLF001  it can be set, and only read like this
    Distribution.set_default_validate_args(value=False)
    try:
        yield
    finally:
        Distribution.set_default_validate_args(value=checks)
