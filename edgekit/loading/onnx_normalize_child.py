"""The inside of `normalize_onnx`; runs in a child process."""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import (
    AttributeProto,
    TensorProto,
    helper,
    inliner,
    numpy_helper,
    version_converter,
)

from edgekit.core.progress import Progress
from edgekit.errors import UnsupportedError
from edgekit.loading.external_data import check_external_data, read_external
from edgekit.loading.onnx_graphs import graphs, inferred
from edgekit.loading.onnx_normalize import LOWEST_OPSET, Normalized, NormalizeRequest
from edgekit.loading.onnx_single import compute_in_single
from edgekit.runtimes.inspect import InspectRequest
from edgekit.runtimes.onnx.inspect import external_tensor, read_model, stored_tensors

_IR_OF_LOWEST_OPSET = 8
_FIRST_OPSET_WITH_PLACES = 11
"""From here on a Resize says which place of its input each place of its output stands for."""

_LARGEST_BYTES = 2**31 - 1
_STANDARD_DOMAINS = {"", "ai.onnx"}


def run(request: NormalizeRequest, _progress: Progress) -> Normalized:
    """Read, normalise and write.

    Raises:
        InputRefusedError: The file is damaged, or its external data is not fit to read.
        UnsupportedError: An operator cannot be raised, or the result is too large for one file.
    """
    model = read_model(InspectRequest(request.source))
    notes = [*_inline_external(model, request)]
    if model.functions:
        notes.append(f"{len(model.functions)} functions written out where they are used")
        model = inliner.inline_local_functions(model)
    notes += [*_fix_initializers(model), *_lift_constants(model)]
    dropped = _drop_shapes(model)
    notes += compute_in_single(model)
    before = _opset(model)
    if request.raise_opset and before < LOWEST_OPSET:
        model = _raised(model, before)
        notes.append(f"opset raised from {before} to {LOWEST_OPSET}")
        # What the converter adds, it adds as Constant nodes, and with shapes of its own.
        list(_lift_constants(model))
        _drop_shapes(model)
    model, failure = inferred(model)
    if failure:
        notes.append(f"inner shapes could not be inferred: {failure}")
    elif dropped:
        notes.append("inner shapes inferred anew")
    _write(model, request)
    return Normalized(tuple(notes))


def _inline_external(model: onnx.ModelProto, request: NormalizeRequest) -> Iterator[str]:
    outside = [
        (found.proto, place)
        for found in stored_tensors(model)
        if (place := external_tensor(found.proto)) is not None
    ]
    if not outside:
        return
    files = check_external_data(request.source, [place for _, place in outside])
    for tensor, place in outside:
        tensor.raw_data = read_external(request.source, place)
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    yield f"{len(outside)} tensors taken in from {', '.join(file.name for file in files)}"


def _fix_initializers(model: onnx.ModelProto) -> Iterator[str]:
    """Make initializers constants: in old files they are defaults that a caller may override."""
    stored = {tensor.name for tensor in model.graph.initializer}
    kept = [value for value in model.graph.input if value.name not in stored]
    if len(kept) < len(model.graph.input):
        yield f"{len(model.graph.input) - len(kept)} weights listed as inputs made constant"
        del model.graph.input[:]
        model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, _IR_OF_LOWEST_OPSET)


def _lift_constants(model: onnx.ModelProto) -> Iterator[str]:
    lifted = 0
    for graph in graphs(model.graph):
        results = {value.name for value in graph.output}
        kept = []
        for node in graph.node:
            tensor = _constant(node)
            # A body may return a constant, and an initializer cannot be an output of a body.
            if tensor is None or node.output[0] in results:
                kept.append(node)
            else:
                tensor.name = node.output[0]
                graph.initializer.append(tensor)
                lifted += 1
        if len(kept) < len(graph.node):
            del graph.node[:]
            graph.node.extend(kept)
    if lifted:
        yield f"{lifted} Constant nodes made initializers"


def _constant(node: onnx.NodeProto) -> TensorProto | None:
    """Return what a Constant node holds; `None` for other nodes and for text and sparse ones."""
    if node.op_type != "Constant" or node.domain not in _STANDARD_DOMAINS:
        return None
    (attribute,) = node.attribute or (AttributeProto(),)
    value = onnx.helper.get_attribute_value(attribute) if attribute.type else None
    match attribute.name:
        case "value":
            made = TensorProto()
            made.CopyFrom(attribute.t)
            return made
        case "value_float" | "value_floats":
            return numpy_helper.from_array(np.asarray(value, "float32"))
        case "value_int" | "value_ints":
            return numpy_helper.from_array(np.asarray(value, "int64"))
        case _:
            return None


def _drop_shapes(model: onnx.ModelProto) -> int:
    """Forget what the file says about inner shapes, and return how many they were."""
    dropped = 0
    for graph in graphs(model.graph):
        dropped += len(graph.value_info)
        del graph.value_info[:]
    return dropped


def _opset(model: onnx.ModelProto) -> int:
    standard = [item.version for item in model.opset_import if item.domain in _STANDARD_DOMAINS]
    return max(standard, default=LOWEST_OPSET)


def _raised(model: onnx.ModelProto, before: int) -> onnx.ModelProto:
    for node in (node for graph in graphs(model.graph) for node in graph.node):
        if node.op_type == "Pad":
            _forget_unused_value(node)
    try:
        raised = version_converter.convert_version(model, LOWEST_OPSET)
    except (version_converter.ConvertError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UnsupportedError(
            f"the model's opset {before} cannot be raised to {LOWEST_OPSET}: {reason}",
            hint=f"export it again with opset {LOWEST_OPSET} or later",
        ) from error
    if before < _FIRST_OPSET_WITH_PLACES:
        for graph in graphs(raised.graph):
            _say_places(graph)
    return raised


def _say_places(graph: onnx.GraphProto) -> None:
    """Say where a Resize from before opset 11 reads: the converter lets it read elsewhere."""
    scales = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and (tensor := _constant(node)) is not None:
            scales[node.output[0]] = numpy_helper.to_array(tensor)
    for node in graph.node:
        if node.op_type == "Resize":
            shrinks = bool((scales.get(node.input[2], np.ones(1)) < 1).any())
            node.attribute.append(
                helper.make_attribute("coordinate_transformation_mode", "asymmetric")
            )
            node.attribute.append(
                helper.make_attribute("nearest_mode", "ceil" if shrinks else "floor")
            )


def _forget_unused_value(pad: onnx.NodeProto) -> None:
    """Drop the value of a Pad that fills with none: the converter leaves it, which is invalid."""
    attributes = {attribute.name: attribute for attribute in pad.attribute}
    if "value" in attributes and "mode" in attributes and attributes["mode"].s != b"constant":
        pad.attribute.remove(attributes["value"])


def _write(model: onnx.ModelProto, request: NormalizeRequest) -> None:
    if model.ByteSize() > _LARGEST_BYTES:
        raise UnsupportedError(
            f"{request.source.name} needs more than 2 GiB with all its weights in one file",
            hint="use a smaller model; edgekit is for small computers",
        )
    request.destination.write_bytes(model.SerializeToString())
