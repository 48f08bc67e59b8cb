"""What is known of values before the module has run: fake tensors with symbolic sizes."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch
from torch import fx
from torch._subclasses.fake_tensor import FakeTensorMode

# What running an operator on fake tensors raises when sizes are not known well enough.
_UNKNOWN = (
    RuntimeError,
    ValueError,
    TypeError,
    NotImplementedError,
    IndexError,
    AssertionError,
    ZeroDivisionError,
)
# Hints only steer decisions that no size rules out; distinct multiples of 64 stand halving and
# pooling without meeting each other.
_HINT = 64


class Preview:
    """Runs every node on fake tensors, and remembers the result as the node's `meta["val"]`."""

    def __init__(self) -> None:
        # SymPy and TorchDynamo take as long to import as all else of PyTorch, and every child
        # that works on a module imports this file; only one that reads ONNX makes a preview.
        from torch.fx.experimental.symbolic_shapes import ShapeEnv  # noqa: PLC0415  see above

        self._shape_env = ShapeEnv()
        self._fake = FakeTensorMode(shape_env=self._shape_env, allow_non_fake_inputs=True)
        self._symbols: dict[str, torch.SymInt] = {}

    def empty(self, dtype: torch.dtype, shape: Sequence[int | str]) -> torch.Tensor:
        """Return a fake tensor; a text in `shape` names a dynamic axis, the same one each time."""
        sizes = [self._symbol(dim) if isinstance(dim, str) else dim for dim in shape]
        with self._fake:
            return torch.empty(sizes, dtype=dtype)

    def of(self, tensor: torch.Tensor) -> torch.Tensor:
        """Return the fake twin of a real tensor; all its sizes are fixed."""
        return self._fake.from_tensor(tensor, static_shapes=True)

    def _symbol(self, name: str) -> torch.SymInt:
        if name not in self._symbols:
            from torch._dynamo.source import ConstantSource  # noqa: PLC0415  see `__init__`
            from torch.fx.experimental.symbolic_shapes import DimDynamic  # noqa: PLC0415  same

            hint = _HINT * (len(self._symbols) + 1)
            source = ConstantSource(f"axis_{len(self._symbols)}")
            symbol = self._shape_env.create_symbol(hint, source, DimDynamic.DYNAMIC, None)
            made = self._shape_env.create_symintnode(symbol, hint=hint, source=source)
            assert isinstance(made, torch.SymInt)
            self._symbols[name] = made
        return self._symbols[name]

    def axis_name(self, size: object) -> str:
        """Name a size that is not fixed: the axis it comes from, or how it is computed."""
        names = {str(symbol): name for name, symbol in self._symbols.items()}
        return re.sub(r"\b[a-z]\d+\b", lambda match: names.get(match[0], match[0]), str(size))

    def run(
        self,
        node: fx.Node,
        function: Callable[..., object],
        args: tuple[fx.node.Argument, ...],
        kwargs: Mapping[str, fx.node.Argument],
    ) -> None:
        """Run a node's function on what is known of its arguments, if that is enough.

        Where it is not, the module may still be right for the sizes it will see; only handlers
        that need to know more will refuse.
        """
        try:
            plain_args, plain_kwargs = fx.node.map_arg((args, dict(kwargs)), _known)
            with self._fake, torch.no_grad():
                node.meta["val"] = function(*plain_args, **plain_kwargs)
        except _UNKNOWN:
            node.meta.pop("val", None)
        if self._unpin():
            node.meta.pop("val", None)

    def _unpin(self) -> bool:
        """Free the axes that a function has read as numbers, and say whether there were any.

        It got our hint, so nothing it says holds for other sizes.
        """
        pinned = [symbol for symbol in self._symbols.values() if symbol.node.expr.is_number]
        for symbol in pinned:
            raw = symbol.node._expr  # noqa: SLF001  `expr` shows the number by now
            self._shape_env.replacements.pop(raw, None)
        if pinned:
            self._shape_env._update_version_counter()  # noqa: SLF001  what was replaced is cached by it
        return bool(pinned)


def is_symbolic(size: object) -> bool:
    """Whether a size differs from run to run."""
    return isinstance(size, torch.SymInt) and not size.node.expr.is_number


def _known(node: fx.Node) -> fx.node.Argument:
    if "val" not in node.meta:
        raise RuntimeError(f"nothing is known of {node.name}")
    return cast("fx.node.Argument", node.meta["val"])
