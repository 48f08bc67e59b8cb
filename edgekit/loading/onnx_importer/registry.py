"""Which handler imports which operator."""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from typing import TypeVar

from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.values import Value

Handler = Callable[[Builder, OnnxNode], Value | Sequence[Value | None]]
_Any = TypeVar("_Any", bound=Handler)

_handlers: dict[str, Handler] = {}


def handles(*op_types: str) -> Callable[[_Any], _Any]:
    """Register a handler for operators of the standard ONNX domain."""

    def register(handler: _Any) -> _Any:
        for op_type in op_types:
            assert op_type not in _handlers, f"{op_type} has two handlers"
            _handlers[op_type] = handler
        return handler

    return register


def handler_for(op_type: str) -> Handler | None:
    """Return the handler of an operator, or nothing."""
    _load()
    return _handlers.get(op_type)


def supported_operators() -> frozenset[str]:
    """Return the standard operators that have a handler of their own."""
    _load()
    return frozenset(_handlers)


@functools.cache
def _load() -> None:
    # Some may be there already: whoever imports one module of them has its handlers alone.
    package = importlib.import_module("edgekit.loading.onnx_importer.operators")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
