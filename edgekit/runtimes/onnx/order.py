"""The order of the nodes of an ONNX graph: the standard wants each after those that it reads."""

import heapq
from collections.abc import Iterator

import onnx


def put_in_order(graph: onnx.GraphProto) -> None:
    """Sort the nodes of `graph`, and of all graphs in it, so that each follows what it reads.

    Runtimes take any order, and tools leave some behind; shape inference and other tools do not.
    Nodes that are in order already keep it. A graph with a circle, which none can run, stays as
    it is.
    """
    for node in graph.node:
        for body in _bodies(node):
            put_in_order(body)
    writer = {name: at for at, node in enumerate(graph.node) for name in node.output if name}
    readers: list[list[int]] = [[] for _ in graph.node]
    missing = [0] * len(graph.node)
    for at, node in enumerate(graph.node):
        for before in {writer[name] for name in _read(node) if name in writer} - {at}:
            readers[before].append(at)
            missing[at] += 1
    ready = [at for at, count in enumerate(missing) if not count]
    order: list[int] = []
    while ready:
        order.append(heapq.heappop(ready))
        for after in readers[order[-1]]:
            missing[after] -= 1
            if not missing[after]:
                heapq.heappush(ready, after)
    if order == list(range(len(graph.node))) or len(order) < len(graph.node):
        return
    nodes = list(graph.node)
    copies = [onnx.NodeProto.FromString(nodes[at].SerializeToString()) for at in order]
    del graph.node[:]
    graph.node.extend(copies)


def _read(node: onnx.NodeProto) -> Iterator[str]:
    """Yield what a node reads, its bodies included; their own tensors are named otherwise."""
    yield from node.input
    for body in _bodies(node):
        for inner in body.node:
            yield from _read(inner)
        yield from (output.name for output in body.output)


def _bodies(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs
