"""Reads an ONNX file into a PyTorch module, node by node."""

import contextlib
import logging
from collections import ChainMap, defaultdict
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
import torch
from google.protobuf.message import DecodeError
from onnx import inliner
from torch import fx

from edgekit.core.model import Change, Model
from edgekit.core.samples import Example
from edgekit.core.tensors import Dim, Signature, TensorSpec, axis_name
from edgekit.errors import InputRefusedError, UnsupportedError
from edgekit.loading.onnx_importer.builder import Builder
from edgekit.loading.onnx_importer.dtypes import edgekit_dtype, tensor_from_proto, torch_dtype
from edgekit.loading.onnx_importer.fixed_inputs import fixed_forms
from edgekit.loading.onnx_importer.node import OnnxNode
from edgekit.loading.onnx_importer.refusals import (
    STANDARD_DOMAINS,
    all_nodes,
    is_handled,
    label,
    unsupported,
    why_unhandled,
    with_bodies,
)
from edgekit.loading.onnx_importer.registry import handler_for
from edgekit.loading.onnx_importer.size_arithmetic import on_sizes
from edgekit.loading.onnx_importer.values import RefusedNodeError, Value, ValueSequence

OLDEST_OPSET = 7

_CONTRADICTIONS = (ValueError, LookupError, RuntimeError, TypeError)
"""What reading a node raises when its inputs have other ranks or sizes than it can take."""

_Scope = MutableMapping[str, "Value | None"]


def import_onnx(path: Path, example: Example | None = None) -> Model:
    """Read an ONNX file (opset 7 or later) into a PyTorch module with the same signature.

    Constant weights of convolutions, linear layers, normalizations, recurrent layers and
    embeddings become real `nn` modules; everything else becomes plain torch operations. Names
    of inputs and outputs and of dynamic axes are kept: the module takes the inputs in order,
    or by name, and returns a dictionary of outputs by name.

    A model that cannot be read with its axes dynamic is read with their sizes in `example`, and
    where that is not enough, with the numbers that inputs are in all samples.

    Raises:
        InputRefusedError: The file is no ONNX model, or contradicts itself.
        UnsupportedError: Some of its nodes cannot be imported; all of them are named.
    """
    try:
        proto = onnx.load(path)
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise InputRefusedError(
            f"{path} is not a readable ONNX model: {error}", hint="export it again"
        ) from error
    try:
        return import_model(proto, str(path))
    except UnsupportedError as error:
        return _import_fixed(proto, str(path), example or Example({}), error)


def _import_fixed(
    proto: onnx.ModelProto, source: str, example: Example, error: UnsupportedError
) -> Model:
    """Import a model with less left open than it leaves, after it failed as it is."""
    for form, told in fixed_forms(proto, example):
        try:
            model = import_model(form, source)
        except UnsupportedError as refused:
            error = refused
            continue
        (imported,) = model.history
        return replace(model, history=(Change("import", f"{imported.summary}; {told}"),))
    raise error


def import_model(proto: onnx.ModelProto, source: str) -> Model:
    """Import a model that was already read; `source` names it in messages.

    Raises:
        InputRefusedError: The model contradicts itself.
        UnsupportedError: Some of its nodes cannot be imported; all of them are named.
    """
    if proto.functions:
        proto = inliner.inline_local_functions(proto)
    opset = _opset(proto, source)
    proto = _expand_functions(proto)
    with _quiet():
        return _Importer(proto.graph, opset, source).run()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    # PyTorch logs a traceback whenever a size turns out to be unknown, which is no failure.
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


def _opset(proto: onnx.ModelProto, source: str) -> int:
    found = [entry.version for entry in proto.opset_import if entry.domain in STANDARD_DOMAINS]
    newest = onnx.defs.onnx_opset_version()
    if not found or not OLDEST_OPSET <= found[0] <= newest:
        what = f"opset {found[0]}" if found else "no standard opset"
        raise UnsupportedError(
            f"{source} uses {what}; opsets {OLDEST_OPSET} to {newest} can be imported",
            hint="export it again with a newer opset",
        )
    return int(found[0])


def _expand_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Replace operators without a handler by the body that ONNX itself defines for them.

    Those that have none stay, and are refused where they stand.
    """
    missing = {
        (node.domain, node.op_type) for node in all_nodes(proto.graph) if not is_handled(node)
    }
    if not missing:
        return proto
    typed = onnx.ModelProto()
    typed.CopyFrom(proto)
    # The inliner wants to know the types of initializers, which files need not repeat.
    typed.graph.value_info.extend(
        onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        for tensor in proto.graph.initializer
    )
    try:
        return inliner.inline_selected_functions(
            typed, sorted(missing), inline_schema_functions=True
        )
    except RuntimeError:
        # It fails on some bodies that leave inputs out; then nothing is expanded.
        return proto


@dataclass
class _Importer:
    graph: onnx.GraphProto
    opset: int
    source: str
    builder: Builder = field(default_factory=Builder)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def run(self) -> Model:
        values: _Scope = {}
        inputs = self._inputs(values)
        self._nodes(self.graph, values)
        outputs, results = [], {}
        for info in self.graph.output if not self.refused else []:
            try:
                value = self._result(info.name, values)
                outputs.append(self._output(info, value))
                results[info.name] = value
            except RefusedNodeError as error:
                self.refused.append((f"output '{info.name}'", str(error)))
        if self.refused:
            raise unsupported(self.source, self.refused)
        module = self.builder.finish(results)
        count = len(self.graph.node)
        summary = f"imported {count} ONNX nodes of opset {self.opset}"
        if self.builder.quantized_pairs:
            pairs = self.builder.quantized_pairs
            summary += f"; {pairs} quantize-dequantize pairs run as fake quantization"
        return Model(module, Signature(inputs, tuple(outputs)), (Change("import", summary),))

    # -- inputs and outputs -----------------------------------------------------------------

    def _inputs(self, values: _Scope) -> tuple[TensorSpec, ...]:
        self._initializers(self.graph, values)
        specs = []
        for info in self.graph.input:
            if info.name in values:  # an initializer that a caller could override
                continue
            try:
                specs.append(_input_spec(info))
            except RefusedNodeError as error:
                self.refused.append((f"input '{info.name}'", str(error)))
        values.update((s.name, n) for s, n in zip(specs, self.builder.inputs(specs), strict=True))
        return tuple(specs)

    def _result(self, name: str, values: Mapping[str, Value | None]) -> Value:
        value = values.get(name)
        if value is None:
            raise InputRefusedError(
                f"{self.source}: nothing computes output '{name}'", hint="export it again"
            )
        return self.builder.tensor(value)

    def _output(self, info: onnx.ValueInfoProto, value: Value) -> TensorSpec:
        if info.type.WhichOneof("value") != "tensor_type" or isinstance(value, ValueSequence):
            raise RefusedNodeError("it is not a tensor")
        declared = _declared_shape(info)
        try:
            sizes: list[object] = (
                list(value.shape) if isinstance(value, torch.Tensor) else self._fake_sizes(value)
            )
            dtype = self.builder.dtype(value)
        except RefusedNodeError:
            # Sizes that only the data decides: the file's own word is the best there is.
            sizes = list(declared)
            dtype = torch_dtype(info.type.tensor_type.elem_type)
        shape: list[Dim] = []
        for axis, size in enumerate(sizes):
            told = declared[axis] if len(declared) == len(sizes) else ""
            if isinstance(size, int):
                shape.append(size)
            elif isinstance(told, str) and told and isinstance(size, str):
                shape.append(told)
            else:
                shape.append(told if isinstance(told, str) and told else str(size))
        return TensorSpec(info.name, edgekit_dtype(dtype), tuple(shape))

    def _fake_sizes(self, value: Value) -> list[object]:
        names = self.builder.static_dims(value)
        assert isinstance(value, fx.Node)
        sizes = value.meta["val"].shape
        return [
            size if size is not None else self.builder.axis_name(sizes[axis])
            for axis, size in enumerate(names)
        ]

    # -- nodes ------------------------------------------------------------------------------

    def _initializers(self, graph: onnx.GraphProto, values: _Scope) -> None:
        consumers = _consumers(graph)
        for initializer in graph.initializer:
            try:
                tensor = tensor_from_proto(initializer, consumers.get(initializer.name, ()))
            except RefusedNodeError as error:
                self.refused.append((f"initializer '{initializer.name}'", str(error)))
                continue
            name = initializer.name
            values[name] = self.builder.name_constant(tensor, name, stored=True)

    def _nodes(self, graph: onnx.GraphProto, values: _Scope) -> None:
        consumers = _consumers(graph)
        for proto in graph.node:
            inputs = [values.get(name) if name else None for name in proto.input]
            if any(name and value is None for name, value in zip(proto.input, inputs, strict=True)):
                # An input comes from a node that was refused, which is reported already.
                self.refused += [
                    (label(one), why_unhandled(one))
                    for one in with_bodies(proto)
                    if not is_handled(one)
                ]
                if not self.refused:
                    raise InputRefusedError(
                        f"{self.source}: {label(proto)} reads a value that nothing computes",
                        hint="the nodes are not in order; export it again",
                    )
                continue
            node = OnnxNode(
                proto.op_type,
                proto.name or next((name for name in proto.output if name), proto.op_type),
                self.opset,
                tuple(inputs),
                tuple(proto.input),
                tuple(proto.output),
                {attribute.name: attribute for attribute in proto.attribute},
                lambda body, arguments: self._body(body, arguments, values),
                consumers,
                values.get,
            )
            if not is_handled(proto):
                self.refused.append((label(proto), why_unhandled(proto)))
                continue
            try:
                results = self._node(node)
            except RefusedNodeError as error:
                self.refused.append((label(proto), str(error)))
                continue
            except _CONTRADICTIONS as error:
                reason = str(error).partition("\n")[0]
                self.refused.append((label(proto), f"its inputs do not fit it: {reason}"))
                continue
            for name, value in zip(proto.output, results, strict=False):
                if name and value is not None:
                    values[name] = value

    def _node(self, node: OnnxNode) -> Sequence[Value | None]:
        self.builder.hint = next((name for name in node.outputs if name), "")
        results = on_sizes(self.builder, node)
        if results is None:
            handler = handler_for(node.op_type)
            assert handler is not None
            found = handler(self.builder, node)
            results = found if isinstance(found, (list, tuple)) else [found]  # type: ignore[list-item]  # a Value is no list
        stored = node.op_type == "Constant"
        return [
            self.builder.name_constant(value, node.name if stored else name, stored=stored)
            if isinstance(value, torch.Tensor)
            else value
            for name, value in zip(node.outputs, results, strict=False)
        ]

    def _body(
        self, graph: onnx.GraphProto, arguments: Sequence[Value], outer: _Scope
    ) -> list[Value]:
        values: _Scope = ChainMap({}, outer)
        self._initializers(graph, values)
        values.update(zip((info.name for info in graph.input), arguments, strict=True))
        before = len(self.refused)
        self._nodes(graph, values)
        if len(self.refused) > before:
            raise RefusedNodeError("its body holds nodes that cannot be imported")
        found = [values.get(info.name) for info in graph.output]
        missing = [i.name for i, value in zip(graph.output, found, strict=True) if value is None]
        if missing:
            raise RefusedNodeError(f"nothing in its body computes '{missing[0]}'")
        return [value for value in found if value is not None]


def _consumers(graph: onnx.GraphProto) -> Mapping[str, tuple[onnx.NodeProto, ...]]:
    # What the graph returns, or a body reads from outside, counts as read once more, by a
    # node that is nobody's.
    found: defaultdict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            found[name].append(node)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                for inner in all_nodes(attribute.g):
                    for name in inner.input:
                        found[name].append(onnx.NodeProto())
    for info in graph.output:
        found[info.name].append(onnx.NodeProto())
    return {name: tuple(nodes) for name, nodes in found.items()}


def _input_spec(info: onnx.ValueInfoProto) -> TensorSpec:
    kind = info.type.WhichOneof("value")
    if kind != "tensor_type":
        raise RefusedNodeError(f"it is a {kind or 'value without a type'}, not a tensor")
    tensor = info.type.tensor_type
    if not tensor.HasField("shape"):
        raise RefusedNodeError("the file does not tell its number of axes")
    dtype = torch_dtype(tensor.elem_type)
    shape = tuple(
        f"{info.name}_{axis}" if dim == "" else dim
        for axis, dim in enumerate(_declared_shape(info))
    )
    return TensorSpec(info.name, edgekit_dtype(dtype), shape)


def _declared_shape(info: onnx.ValueInfoProto) -> tuple[Dim, ...]:
    """Return fixed sizes and axis names; an axis the file says nothing about is ''."""
    return tuple(
        dim.dim_value
        if dim.HasField("dim_value") and dim.dim_value >= 0
        else axis_name(dim.dim_param, "")
        for dim in info.type.tensor_type.shape.dim
    )
