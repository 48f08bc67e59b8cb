"""Takes out of a TFLite model what nothing in it refers to."""

from collections.abc import Iterator, Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

NO_TENSOR = -1
"""What an operator refers to in the place of an input that it does without."""


def drop_unused(model: schema.ModelT) -> None:
    """Drop tensors, operator codes and data that nothing refers to from `model`, in place."""
    for place, graph in enumerate(model.subgraphs):
        signatures = [s for s in model.signatureDefs or [] if s.subgraphIndex == place]
        _drop_tensors(graph, [end for s in signatures for end in (*s.inputs, *s.outputs)])
    operators = [operator for graph in model.subgraphs for operator in graph.operators]
    codes = sorted({operator.opcodeIndex for operator in operators})
    for operator in operators:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[place] for place in codes]
    holders = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    holders += model.metadata or []
    # The first buffer is empty by convention: tensors that are computed refer to it.
    kept = sorted({0} | {holder.buffer for holder in holders})
    places = {old: new for new, old in enumerate(kept)}
    for holder in holders:
        holder.buffer = places[holder.buffer]
    model.buffers = [model.buffers[place] for place in kept]
    # The forerunner of `metadata` lists buffers without saying of what.
    model.metadataBuffer = None


def _drop_tensors(graph: schema.SubGraphT, ends: Sequence[schema.TensorMapT]) -> None:
    """Drop tensors of `graph`; `ends` are the inputs and outputs of its signatures."""
    used = {end.tensorIndex for end in ends}
    used |= {int(t) for holder, name in _lists(graph) for t in getattr(holder, name)}
    kept = sorted(used - {NO_TENSOR})
    places = {old: new for new, old in enumerate(kept)} | {NO_TENSOR: NO_TENSOR}
    for holder, name in _lists(graph):
        renumbered = [places[int(tensor)] for tensor in getattr(holder, name)]
        setattr(holder, name, np.array(renumbered, np.int32))
    for end in ends:
        end.tensorIndex = places[end.tensorIndex]
    graph.tensors = [graph.tensors[place] for place in kept]


def _lists(graph: schema.SubGraphT) -> Iterator[tuple[schema.SubGraphT | schema.OperatorT, str]]:
    """Yield every record in `graph` that has a list of tensors, and what the list is called."""
    for holder in (graph, *graph.operators):
        for name in ("inputs", "outputs", "intermediates"):
            if getattr(holder, name, None) is not None:
                yield holder, name
