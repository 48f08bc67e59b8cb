"""Walks the graphs of an ONNX model, and finds the shapes in them."""

from collections.abc import Iterator

import onnx
from google.protobuf.message import EncodeError
from onnx import shape_inference


def graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """Yield a graph and all graphs inside its nodes, however deep."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.output:
                    yield from graphs(inner)


def inferred(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """Return the model with inner shapes, or as it is and the reason why not."""
    try:
        return shape_inference.infer_shapes(model, data_prop=True), ""
    except (shape_inference.InferenceError, RuntimeError, ValueError, EncodeError) as error:
        return model, " ".join(str(error).split())[:300]
