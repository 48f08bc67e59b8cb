"""Static int8 for ONNX, in a child: our own ranges, QDQ pairs by onnxruntime, then trimmed."""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from edgekit.core.progress import Progress
from edgekit.core.scratch import scratch_folder
from edgekit.core.tensors import FloatArray
from edgekit.core.workspace import storage
from edgekit.errors import UnsupportedError
from edgekit.quantization.calibration import calibrate, united
from edgekit.quantization.forms import Forms, find_forms
from edgekit.quantization.observed import Interval
from edgekit.quantization.onnx import rows
from edgekit.quantization.onnx.calibrate import onnx_outputs, onnx_sizes, onnx_stream
from edgekit.quantization.onnx.dynamic import (
    RUNTIME,
    Product,
    can_be_dynamic,
    make_dynamic,
    products,
    smoothable,
)
from edgekit.quantization.onnx.float_results import write_floats
from edgekit.quantization.onnx.graph import float_tensors, fold
from edgekit.quantization.onnx.outer_reads import round_what_bodies_read
from edgekit.quantization.onnx.plan import (
    candidates,
    make_plan,
    sharing_a_range,
    unmatched,
)
from edgekit.quantization.onnx.prepare import prepared
from edgekit.quantization.onnx.recurrent import SMALLEST, recurrent_in_int8, with_recurrent_in_int8
from edgekit.quantization.onnx.rounding import CHANNELS, read_by, round_weights, rounding
from edgekit.quantization.onnx.rows import RowProduct, row_products
from edgekit.quantization.onnx.scales import overrides
from edgekit.quantization.onnx.tied import share_tables, sharing, tied_tables
from edgekit.quantization.onnx.trim import trim
from edgekit.quantization.onnx.weights import (
    name_biases_apart,
    part_weights,
    store_in_int8,
    stored_convolutions,
)
from edgekit.quantization.onnx.worth import not_worth_it
from edgekit.quantization.plan import Plan
from edgekit.quantization.report import QuantizationReport, QuantizeRequest
from edgekit.quantization.rounding import means_of_channels
from edgekit.quantization.sensitivity import signal_to_noise_db
from edgekit.quantization.settings import Activation, QuantizeSettings
from edgekit.quantization.smoothing import observe_channels
from edgekit.runtimes.macs import int8_percent
from edgekit.runtimes.onnx.macs import count_macs


def run(request: QuantizeRequest, progress: Progress) -> QuantizationReport:
    """Quantize the ONNX file of `request`; see `edgekit.quantization.quantize`.

    Raises:
        UnsupportedError: The model is quantized already, too old, or has nothing to quantize.
    """
    settings = request.settings
    with scratch_folder("quantize") as scratch:
        folded = fold(request.artifact.path, scratch / "folded.onnx")
    model = prepared(folded, settings.keep_float)
    dot_products = request.destination.dot_products
    planned = functools.partial(make_plan, model, settings.keep_float, small=_small(model, request))
    plan = planned()
    ranges = calibrate(
        onnx_stream(model, _touched(model, plan), request, progress), settings.ranges
    )
    ranges = united(ranges, sharing_a_range(model, plan))
    able = can_be_dynamic(model, plan)

    @functools.cache
    def weights() -> Mapping[str, Product] | Mapping[str, RowProduct]:
        stream = onnx_stream(model, smoothable(model, able), request, progress)
        channels = observe_channels(stream)
        if dot_products:
            return products(model, able, channels)
        return row_products(model, able, channels)

    layers = rounding(model, plan.int8)
    tied = tied_tables(model)

    @functools.cache
    def means() -> Mapping[str, FloatArray]:
        return means_of_channels(
            onnx_stream(model, read_by(model, layers), request, progress), CHANNELS
        )

    def made(hurting: frozenset[str], dynamic: frozenset[str]) -> tuple[onnx.ModelProto, Plan]:
        part = planned(hurting, dynamic)
        source = onnx.ModelProto()
        source.CopyFrom(model)
        shared, rest = sharing(tied, part, in_blocks=dot_products)
        part_weights(source.graph, rest.int8)
        name_biases_apart(source.graph)
        chosen = layers & (part.int8 | stored_convolutions(model.graph, part))
        round_weights(
            source.graph, chosen, means() if chosen else {}, per_channel=settings.per_channel
        )
        pairs = _with_pairs(source, rest, settings, ranges)
        make_dynamic(pairs, rest.dynamic, weights() if part.dynamic else {})
        share_tables(pairs, shared)
        return with_recurrent_in_int8(pairs, part, SMALLEST[dot_products])

    could = (*candidates(model, plan), *recurrent_in_int8(model, plan, SMALLEST[dot_products]))
    forms = _forms(model, could, able, request, made, progress)
    result, plan = made(forms.found.keep, forms.dynamic)
    stored = store_in_int8(result.graph, plan)
    if not (plan.int8 or plan.dynamic or stored):
        raise UnsupportedError(
            "the model has no operator that int8 would shrink or speed up",
            hint="see 'edgekit inspect MODEL' for its operators, and check keep_float",
        )
    trim(result)
    progress.update("write", 0, 0)
    with storage(request.out):
        onnx.save(result, request.out)
    return QuantizationReport(
        path=request.out,
        size_bytes=request.out.stat().st_size,
        float_size_bytes=request.artifact.size_bytes,
        samples=request.samples.count,
        int8_macs_percent=int8_percent(count_macs(result)),
        float_operators=plan.left(stored),
        notes=(
            *unmatched(folded, settings.keep_float),
            *forms.notes(settings.min_sqnr_db, RUNTIME if dot_products else rows.RUNTIME),
        ),
    )


def _small(model: onnx.ModelProto, request: QuantizeRequest) -> frozenset[str]:
    """Return the products that take longer in int8 than in float where the file is to run.

    Where rows of the weight are looked up too, one table for both is worth more.
    """
    plan = make_plan(model, request.settings.keep_float)
    sizes = onnx_sizes(model, _touched(model, plan), request)
    slow = not_worth_it(model, plan, sizes, request.destination)
    return slow - {*tied_tables(model).values()}


def _touched(model: onnx.ModelProto, plan: Plan) -> list[str]:
    """Return the float tensors that an int8 operator reads or writes."""
    planned = [node for node in model.graph.node if node.name in plan.int8]
    touched = {name for node in planned for name in (*node.input, *node.output)}
    return [name for name in float_tensors(model.graph) if name in touched]


def _forms(
    model: onnx.ModelProto,
    could: Sequence[str],
    able: frozenset[str],
    request: QuantizeRequest,
    made: Callable[[frozenset[str], frozenset[str]], tuple[onnx.ModelProto, Plan]],
    progress: Progress,
) -> Forms:
    """Try how operators that `could` be int8 compute best, and which should stay float."""
    settings = request.settings
    tried = could if settings.min_sqnr_db else ()
    reference = onnx_outputs(model, request) if tried else []

    def trial(int8: frozenset[str], dynamic: frozenset[str]) -> float:
        progress.update("try", 0, 0)
        quantized, part = made(frozenset(tried) - int8, dynamic)
        store_in_int8(quantized.graph, part)
        return signal_to_noise_db(reference, onnx_outputs(quantized, request))

    return find_forms(tried, able, trial, settings)


def _with_pairs(
    model: onnx.ModelProto,
    plan: Plan,
    settings: QuantizeSettings,
    ranges: Mapping[str, Interval],
) -> onnx.ModelProto:
    """Put QuantizeLinear and DequantizeLinear around what `plan` has in int8; return `model`."""
    planned = [node for node in model.graph.node if node.name in plan.int8]
    if not planned:
        return model
    quantizer = QDQQuantizer(
        model,
        per_channel=settings.per_channel,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=_activation(settings),
        tensors_range=_tensors_data(ranges),
        nodes_to_quantize=sorted(plan.int8),
        nodes_to_exclude=[],
        op_types_to_quantize=sorted({node.op_type for node in planned}),
        extra_options={"TensorQuantOverrides": overrides(model.graph, plan.int8)},
    )
    quantizer.quantize_model()
    result: onnx.ModelProto = quantizer.model.model
    write_floats(result.graph, plan.int8)
    round_what_bodies_read(result.graph)
    return result


def _activation(settings: QuantizeSettings) -> QuantType:
    if settings.activation is Activation.INT8:
        return QuantType.QInt8
    return QuantType.QUInt8


def _tensors_data(ranges: Mapping[str, Interval]) -> TensorsData:
    data = {
        name: (np.float32(interval.low), np.float32(interval.high))
        for name, interval in ranges.items()
    }
    return TensorsData(CalibrationMethod.MinMax, data)
