"""Gives every output of a TFLite model a tensor of its own."""

from ai_edge_litert import schema_py_generated as schema

from edgekit.runtimes.tflite.graph import GraphWriter


def part_equal_outputs(model: schema.ModelT) -> None:
    """Copy what the main graph of `model` returns more than once, in place.

    An output goes by the name of its tensor, so that two of one tensor would be one.
    """
    graph = model.subgraphs[0]
    seen: set[int] = set()
    for position, place in enumerate(int(output) for output in graph.outputs):
        if place not in seen:
            seen.add(place)
            continue
        tensor = graph.tensors[place]
        shape = [int(size) for size in tensor.shape]
        out = GraphWriter(model, graph, f"output_{position}")
        copy = out.tensor(shape)
        graph.tensors[copy].type = tensor.type
        out.reshape(place, shape, copy)
        graph.operators.extend(out.operators)
        graph.outputs[position] = copy
        for definition in model.signatureDefs or ():
            # They are equal, so that it does not matter which of them takes the copy.
            last = max(i for i, end in enumerate(definition.outputs) if end.tensorIndex == place)
            definition.outputs[last].tensorIndex = copy
