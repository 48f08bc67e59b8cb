"""Static int8 for TFLite, in a child: our own ranges, written by ai-edge-quantizer."""

import contextlib
import functools
import re
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from ai_edge_quantizer.algorithm_manager import AlgorithmName
from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName
from ai_edge_quantizer.quantizer import Quantizer
from ai_edge_quantizer.recipe_manager import RecipeManager

from edgekit.core.progress import Progress
from edgekit.core.target import Runtime
from edgekit.core.tensors import Array
from edgekit.core.workspace import storage
from edgekit.errors import UnsupportedError
from edgekit.quantization.calibration import Stream, calibrate, united
from edgekit.quantization.forms import Forms, find_forms
from edgekit.quantization.observed import Interval
from edgekit.quantization.plan import BODY, HURTS, NARROW, SLOWER, Operator, Plan
from edgekit.quantization.report import QuantizationReport, QuantizeRequest
from edgekit.quantization.rounding import means_of_channels
from edgekit.quantization.sensitivity import SAMPLES, signal_to_noise_db
from edgekit.quantization.smoothing import observe_channels
from edgekit.quantization.tflite.biases import flatten_biases
from edgekit.quantization.tflite.constants import readers_of_constants, store_constants
from edgekit.quantization.tflite.dynamic import (
    PART,
    RUNTIME,
    Rounded,
    can_be_dynamic,
    set_weights,
    smoothable,
    smoothed,
)
from edgekit.quantization.tflite.equalize import equalize_channels
from edgekit.quantization.tflite.lookups import look_up_rows
from edgekit.quantization.tflite.modern import modernise
from edgekit.quantization.tflite.outputs import part_outputs
from edgekit.quantization.tflite.plan import (
    EMBEDDING,
    STORABLE,
    candidates,
    feeding_loops,
    is_stored,
    make_plan,
    meeting_same_weights,
    operators_of,
    tensor_name,
    unmatched,
    with_one_scale,
)
from edgekit.quantization.tflite.rounding import CHANNELS, read_by, rounded_weights
from edgekit.runtimes.macs import int8_percent
from edgekit.runtimes.tflite.macs import count_macs
from edgekit.runtimes.tflite.names import shorten_names
from edgekit.runtimes.tflite.session import refusing
from edgekit.runtimes.tflite.writer import to_bytes

_Statistics = dict[str, dict[str, npt.NDArray[np.float64]]]


def run(request: QuantizeRequest, progress: Progress) -> QuantizationReport:
    """Quantize the TFLite file of `request`; see `edgekit.quantization.quantize`.

    Raises:
        UnsupportedError: The model has nothing to quantize, or the quantizer cannot do it.
    """
    with refusing(request.artifact.path.name):
        # The interpreter verifies the file; only then is it safe to walk by hand.
        Interpreter(model_path=str(request.artifact.path), num_threads=1)
    model = flatbuffer_utils.read_model_from_bytearray(request.artifact.path.read_bytes())
    modernise(model)
    part_outputs(model)
    flatten_biases(model)
    look_up_rows(model)
    equalize_channels(model)
    shorten_names(model)
    plan = _plan(model, request)
    if not plan.int8 and not any(why in {BODY, NARROW, SLOWER} for _, why in plan.reasons.values()):
        raise UnsupportedError(
            "the model has no operator that int8 would shrink or speed up",
            hint="see 'edgekit inspect MODEL' for its operators, and check keep_float",
        )
    content = to_bytes(model)
    wanted = _touched(model, plan)
    ranges = calibrate(_stream(content, wanted, request, progress), request.settings.ranges)
    ranges = united(ranges, meeting_same_weights(model, plan))
    source = _source(model, content, plan, request, progress)

    def made(part: Plan, kept: frozenset[str]) -> schema.ModelT:
        exact, weights = source(part.dynamic)
        result = _quantized(exact, _recipe(model, part, request), _statistics(model, ranges))
        set_weights(result, weights)
        store_constants(result, kept | _asked(model, request))
        return result

    forms = _forms(model, plan, request, made, progress)
    plan = _plan(model, request, forms.found.keep, forms.dynamic)
    progress.update("write", 0, 0)
    quantized = made(plan, forms.found.keep)
    with storage(request.out):
        request.out.write_bytes(to_bytes(quantized))
    macs = count_macs(quantized)
    return QuantizationReport(
        path=request.out,
        size_bytes=request.out.stat().st_size,
        float_size_bytes=request.artifact.size_bytes,
        samples=request.samples.count,
        int8_macs_percent=int8_percent(macs),
        float_operators=plan.without({item.name for item in macs if item.is_int8}).left(
            {operator.name for operator in _stored(model, plan)}
        ),
        notes=(
            *unmatched(model, request.settings.keep_float),
            *forms.notes(request.settings.min_sqnr_db, RUNTIME),
        ),
    )


def _source(
    model: schema.ModelT,
    content: bytes,
    plan: Plan,
    request: QuantizeRequest,
    progress: Progress,
) -> Callable[[frozenset[str]], tuple[bytes, Mapping[str, Rounded]]]:
    """Return what makes the float file that is quantized, given which layers will be dynamic.

    It computes what `content`, the file of `model`, does, but for weights that are rounded. With
    it come the weights of dynamic layers in int8, by name.
    """
    per_channel = request.settings.per_channel

    able = _can_be_dynamic(model, plan, request)

    @functools.cache
    def source(dynamic: frozenset[str]) -> tuple[bytes, Mapping[str, Rounded]]:
        exact = content
        weights: Mapping[str, Rounded] = {}
        if dynamic:
            stream = _stream(content, smoothable(model, dynamic), request, progress)
            smooth, weights = smoothed(content, dynamic, observe_channels(stream))
            exact = to_bytes(smooth)
        layers = plan.because(NARROW).union(plan.int8 - dynamic - feeding_loops(model))
        read = read_by(model, layers)
        means = means_of_channels(_stream(content, read, request, progress), CHANNELS)
        one_scale = with_one_scale(model, dynamic) if per_channel else layers
        return rounded_weights(exact, layers, means, one_scale), weights

    # All that can be dynamic is smoothed once, also what then stays float: rounding takes a while.
    return lambda dynamic: source(able if dynamic else dynamic)


def _plan(
    model: schema.ModelT,
    request: QuantizeRequest,
    hurting: Collection[str] = (),
    dynamic: Collection[str] = (),
) -> Plan:
    """Plan int8 as `make_plan` does, and then for what the file is to run on."""
    plan = make_plan(model, request.settings.keep_float, hurting, dynamic, request.destination)
    if Runtime.TFLITE_RUNTIME not in request.destination.runtimes:
        return plan
    return plan.moved(_hybrid(model, plan), SLOWER)


def _can_be_dynamic(model: schema.ModelT, plan: Plan, request: QuantizeRequest) -> frozenset[str]:
    """Return the operators that may scale their inputs as they run, on all there is to run on."""
    if Runtime.TFLITE_RUNTIME in request.destination.runtimes:
        return frozenset()
    return can_be_dynamic(model, plan)


def _forms(
    model: schema.ModelT,
    plan: Plan,
    request: QuantizeRequest,
    made: Callable[[Plan, frozenset[str]], schema.ModelT],
    progress: Progress,
) -> Forms:
    """Try how operators that `plan` has in int8 compute best, and which should better not."""
    settings = request.settings
    tried = _tried(model, plan, request) if settings.min_sqnr_db else ()
    reference = _outputs(to_bytes(model), request) if tried else []

    def trial(int8: frozenset[str], dynamic: frozenset[str]) -> float:
        progress.update("try", 0, 0)
        kept = frozenset(tried) - int8
        quantized = made(_plan(model, request, kept, dynamic), kept)
        return signal_to_noise_db(reference, _outputs(to_bytes(quantized), request))

    return find_forms(tried, _can_be_dynamic(model, plan, request), trial, settings)


def _tried(model: schema.ModelT, plan: Plan, request: QuantizeRequest) -> tuple[str, ...]:
    """Return the operators that int8 might hurt, by what they compute or a constant they read."""
    reading = {*readers_of_constants(model)} - plan.int8 - _asked(model, request)
    might = reading.union(candidates(model, plan))
    operators = operators_of(model, model.subgraphs[0])
    return tuple(operator.name for operator in operators if operator.name in might)


def _asked(model: schema.ModelT, request: QuantizeRequest) -> frozenset[str]:
    """Return the operators of the main graph that the user wants in float."""
    patterns = request.settings.keep_float
    operators = operators_of(model, model.subgraphs[0])
    return frozenset(operator.name for operator in operators if operator.matches(patterns))


def _outputs(content: bytes, request: QuantizeRequest) -> list[list[Array]]:
    """Return the float outputs of a model on the first samples, a list a batch."""
    with refusing(request.artifact.path.name):
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    names = [spec.name for spec in request.artifact.signature.inputs]
    places = [details["index"] for details in interpreter.get_input_details()]
    wanted = [d["index"] for d in interpreter.get_output_details() if d["dtype"] is np.float32]
    outputs: list[list[Array]] = []
    for done, inputs in request.batches(rows_if_free=1):
        with refusing(request.artifact.path.name):
            for name, place in zip(names, places, strict=True):
                interpreter.set_tensor(place, inputs[name])
            interpreter.invoke()
            outputs.append([interpreter.get_tensor(index) for index in wanted])
        if done >= SAMPLES:
            break
    return outputs


def _touched(model: schema.ModelT, plan: Plan) -> dict[str, int]:
    """Return the place of every float tensor that an int8 operator reads or writes, by name."""
    graph = model.subgraphs[0]
    touched = {
        name
        for operator in operators_of(model, graph)
        if operator.name in plan.int8
        for name in (*operator.inputs, *operator.outputs)
    }
    return {
        tensor_name(tensor): place
        for place, tensor in enumerate(graph.tensors)
        if tensor.type == schema.TensorType.FLOAT32
        and tensor_name(tensor) in touched
        and not is_stored(model, tensor)
    }


def _stream(
    content: bytes, wanted: Mapping[str, int], request: QuantizeRequest, progress: Progress
) -> Stream:
    """Return a stream of the `wanted` tensors of the float model over the samples."""
    with refusing(request.artifact.path.name), _keeping_tensors():
        interpreter = Interpreter(
            model_content=content, num_threads=1, experimental_preserve_all_tensors=True
        )
        interpreter.allocate_tensors()
    places = [details["index"] for details in interpreter.get_input_details()]
    names = [spec.name for spec in request.artifact.signature.inputs]

    def run_all() -> Iterator[Mapping[str, Array]]:
        for done, inputs in request.batches(rows_if_free=1):
            with refusing(request.artifact.path.name):
                for name, place in zip(names, places, strict=True):
                    interpreter.set_tensor(place, inputs[name])
                interpreter.invoke()
                yield {name: interpreter.get_tensor(place) for name, place in wanted.items()}
            progress.update("calibrate", done, request.samples.count)

    return run_all


@contextlib.contextmanager
def _keeping_tensors() -> Iterator[None]:
    """Silence LiteRT's warning that keeping every tensor takes memory: it is told to."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors", UserWarning)
        yield


def _recipe(model: schema.ModelT, plan: Plan, request: QuantizeRequest) -> RecipeManager:
    """Return what ai-edge-quantizer is told to do with each operator."""
    granularity = (
        QuantGranularity.CHANNELWISE
        if request.settings.per_channel
        else QuantGranularity.TENSORWISE
    )
    recipe = RecipeManager()
    main = [o for o in operators_of(model, model.subgraphs[0]) if o.name in plan.int8]
    feeding = feeding_loops(model)
    static = [o for o in main if o.op_type != EMBEDDING and o.name not in feeding]
    shared = with_one_scale(model, plan.dynamic)
    for operators, scales in (
        ([o for o in static if o.name not in shared], granularity),
        ([o for o in static if o.name in shared], QuantGranularity.TENSORWISE),
    ):
        if operators:
            recipe.add_static_config(
                _pattern(operators), TFLOperationName.ALL_SUPPORTED, 8, 8, scales
            )
    # An output goes by the name of the operator that writes it; both ends stay float.
    for end in (TFLOperationName.INPUT, TFLOperationName.OUTPUT):
        recipe.add_quantization_config(".*", end, None, AlgorithmName.NO_QUANTIZE)
    # What is dynamic is for newer runtimes only, so it may have a scale for each row and channel.
    running = [o for o in operators_of(model, model.subgraphs[0]) if o.name in plan.dynamic]
    for kind in (TFLOperationName.EMBEDDING_LOOKUP, TFLOperationName.FULLY_CONNECTED):
        recipe.add_dynamic_config(_pattern(running), kind, 8, granularity)
    # One scale for all channels here: older runtimes compute nonsense from more, without a word.
    embeddings = [operator for operator in main if operator.op_type == EMBEDDING]
    recipe.add_dynamic_config(
        _pattern(embeddings), TFLOperationName.EMBEDDING_LOOKUP, 8, QuantGranularity.TENSORWISE
    )
    # There are no ranges of what happens inside a loop, so these find theirs as they run. One
    # scale again: tflite-runtime 2.14 computes nonsense from more, without a word.
    recipe.add_dynamic_config(
        _pattern(_hybrid(model, plan)),
        TFLOperationName.FULLY_CONNECTED,
        8,
        QuantGranularity.TENSORWISE,
    )
    if stored := _stored(model, plan):
        for kind in STORABLE:
            recipe.add_weight_only_config(_pattern(stored), TFLOperationName[kind], 8, granularity)
    return recipe


def _stored(model: schema.ModelT, plan: Plan) -> list[Operator]:
    """Return the operators that compute in float, with weights that are stored in int8."""
    return [
        operator
        for graph in model.subgraphs
        for operator in operators_of(model, graph)
        if operator.op_type in STORABLE
        and plan.reasons.get(operator.name, ("", ""))[1] in {HURTS, NARROW, SLOWER}
    ]


def _hybrid(model: schema.ModelT, plan: Plan) -> list[Operator]:
    """Return the operators with int8 weights that turn floats into int8 and back themselves."""
    feeding = feeding_loops(model) & plan.int8
    return [
        operator
        for graph in model.subgraphs
        for operator in operators_of(model, graph)
        if operator.op_type == "FULLY_CONNECTED"
        and (operator.name in feeding or plan.reasons.get(operator.name, ("", ""))[1] == BODY)
    ]


def _pattern(operators: Sequence[Operator]) -> str:
    """Return a regular expression for the scopes of exactly these operators, in all their parts."""
    part = rf"(?:{re.escape(PART)}\d+)?;"
    scopes = (part.join([*map(re.escape, o.outputs), ""]) for o in operators)
    return f"^(?:{'|'.join(scopes) or '(?!)'})$"


def _statistics(model: schema.ModelT, ranges: Mapping[str, Interval]) -> _Statistics:
    """Return `ranges` in ai-edge-quantizer's terms.

    They have the rank of their tensors: where a constant joins one, the quantizer gives scales
    that have not one axis too many.
    """
    ranks = {
        tensor_name(t): len(t.shape) for t in model.subgraphs[0].tensors if t.shape is not None
    }
    return {
        name: {
            "min": np.full((1,) * ranks[name], interval.low),
            "max": np.full((1,) * ranks[name], interval.high),
        }
        for name, interval in ranges.items()
    }


def _quantized(content: bytes, recipe: RecipeManager, statistics: _Statistics) -> schema.ModelT:
    try:
        quantizer = Quantizer(content, recipe.get_quantization_recipe())
        with _keeping_tensors():
            result = quantizer.quantize(statistics, enable_progress_report=False)
    except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
        raise UnsupportedError(
            f"ai-edge-quantizer cannot quantize the model: {error}",
            hint="keep the operator it names in float with keep_float",
        ) from error
    assert result.quantized_model is not None
    return flatbuffer_utils.read_model_from_bytearray(result.quantized_model)
