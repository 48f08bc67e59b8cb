"""The whole numbers that the calls of a graph are given, in order: sizes, axes, places."""

from collections.abc import Callable, Sequence

from torch import fx


def graph_sizes(module: fx.GraphModule) -> tuple[int, ...]:
    """Return every whole number in the calls of a graph."""
    found: list[int] = []

    def note(number: int) -> int:
        found.append(number)
        return number

    for node in module.graph.nodes:
        _with_numbers(node.args, note)
    return tuple(found)


def set_graph_sizes(module: fx.GraphModule, sizes: Sequence[int]) -> None:
    """Put whole numbers, which `graph_sizes` gave of a graph of the same calls, into another."""
    left = iter(sizes)
    for node in module.graph.nodes:
        node.args = _with_numbers(node.args, lambda _: next(left))
    module.recompile()


def _with_numbers(value: fx.node.Argument, put: Callable[[int], int]) -> fx.node.Argument:
    """Return an argument with what `put` makes of each whole number in it."""
    if type(value) is int:
        return put(value)
    if isinstance(value, list | tuple):
        return type(value)(_with_numbers(part, put) for part in value)
    return value
