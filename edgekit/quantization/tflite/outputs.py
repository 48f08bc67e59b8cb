"""Keeps the outputs of a model float where the model itself reads them as int8."""

from ai_edge_litert import schema_py_generated as schema

from edgekit.runtimes.tflite.graph import GraphWriter


def part_outputs(model: schema.ModelT) -> None:
    """Give every float output that operators of `model` read a copy of its own, in place.

    A tensor has one type in the file: as the state of a recurrent cell, which goes out and into
    the next layer, it would turn int8 and change what the model promises to give.
    """
    graph = model.subgraphs[0]
    read = {int(place) for operator in graph.operators for place in operator.inputs}
    copies: dict[int, int] = {}
    for place in dict.fromkeys(int(output) for output in graph.outputs):
        tensor = graph.tensors[place]
        if place in read and tensor.type == schema.TensorType.FLOAT32:
            name = (tensor.name or b"").decode("utf-8", "replace")
            out = GraphWriter(model, graph, name)
            copies[place] = out.reshape(place, [int(size) for size in tensor.shape])
            graph.tensors[copies[place]].name = tensor.name
            tensor.name = f"{name}.inner".encode()
            graph.operators.extend(out.operators)
    graph.outputs = [copies.get(int(place), int(place)) for place in graph.outputs]
    for definition in model.signatureDefs or ():
        for end in definition.outputs:
            end.tensorIndex = copies.get(end.tensorIndex, end.tensorIndex)
