"""Why a model takes the time it takes: the few findings that a person can act on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgekit.core.artifact import Precision
from edgekit.emulation.counters import Counters
from edgekit.emulation.identity import Identity
from edgekit.emulation.operators import OperatorCycles

_WORTH_TELLING_PERCENT = 5.0
_MEMORY_BOUND_PERCENT = 20.0
_FEW_DOT_PRODUCTS_PERCENT = 2.0
_MANY_PRODUCTS_PERCENT = 30.0

# Names as onnxruntime and XNNPACK have them. int8 kernels carry it in their names.
_INT8 = (
    *("QLinear", "QGemm", "QAttention", "QMoE", "MatMulInteger", "MatMulNBits", "ConvInteger"),
    *("DynamicQuantizeMatMul", "DynamicQuantizeLSTM"),
)
_INT8_XNNPACK = ("QS8", "QU8", "QC8", "QD8", "QC4")
_PRODUCTS = (
    *("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul", "Einsum"),
    *("LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention"),
    *("Fully Connected", "Batch Matrix", "Deconvolution"),
)
# LiteRT's own kernels go by one name for all types, so these may be either.
_EITHER = ("CONV_", "DEPTHWISE_CONV_", "FULLY_CONNECTED", "BATCH_MATMUL", "TRANSPOSE_CONV")
_CONVERSIONS = (
    *("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"),
    *("Convert", "QUANTIZE", "DEQUANTIZE"),
)
_REFORMATTING = (
    *("Transpose", "Reshape", "Concat", "Split", "Slice", "Gather", "Expand", "Pad", "Squeeze"),
    *(
        "Unsqueeze",
        "Static Reshape",
        "Cast",
        "Identity",
        "Flatten",
        "Copy",
        "Reorder",
        "Constant Pad",
    ),
    *("Depth To Space", "Space To Depth", "TRANSPOSE", "RESHAPE", "CONCATENATION", "SPLIT"),
    *("SLICE", "STRIDED_SLICE", "GATHER", "PAD", "PACK", "UNPACK"),
)


@dataclass(frozen=True)
class Evidence:
    """What the causes are read from; cycles are of one inference on one thread."""

    precision: Precision
    operators: Sequence[OperatorCycles]
    counters: Counters
    core: Identity


def causes(evidence: Evidence) -> tuple[str, ...]:
    """Return what makes the model slow on this core, the most telling first; often nothing."""
    found = [_without_dot_product(evidence)] if evidence.precision is Precision.INT8 else []
    if evidence.precision is Precision.INT8:
        found.append(
            _share(evidence, _is_float_product, "is in operators that run in float, not int8")
        )
        found.append(
            _share(evidence, _is_conversion, "goes into quantizing and back between operators")
        )
    found.append(_share(evidence, _is_reformatting, "only moves data into another order or shape"))
    found.append(_memory(evidence))
    return tuple(cause for cause in found if cause)


def int8_pays(float_cycles: float, int8_cycles: float) -> str:
    """Say in a sentence what int8 does to the time of a model on this target."""
    ratio = int8_cycles / float_cycles
    if ratio < 1.0:
        return f"int8 pays here: {ratio:.2f} times the time of float"
    return f"int8 does not pay here: {ratio:.2f} times the time of float; its gain is size only"


def _without_dot_product(evidence: Evidence) -> str:
    if not evidence.core.has_dot_product:
        return "this core has no dot product: int8 takes widening multiplies (SMULL, SMLAL)"
    share = evidence.counters.share_percent("simd_dot", "simd_matrix")
    products = _percent(evidence, lambda op_type: _is_product(op_type) and _is_int8(op_type))
    if share < _FEW_DOT_PRODUCTS_PERCENT and products > _MANY_PRODUCTS_PERCENT:
        return (
            f"this core has a dot product, but only {share:.1f} % of the instructions are: most "
            "of this model's int8 kernels do without"
        )
    return ""


def _memory(evidence: Evidence) -> str:
    counters = evidence.counters
    share = 100.0 * counters.memory_cycles / counters.cycles if counters.cycles else 0.0
    if share < _MEMORY_BOUND_PERCENT:
        return ""
    return (
        f"{share:.0f} % of the time waits for memory: weights and activations do not stay in "
        "the caches"
    )


def _share(evidence: Evidence, chosen: Callable[[str], bool], words: str) -> str:
    """Say how much time the chosen operator types take together, if it is worth telling."""
    by_type: dict[str, float] = {}
    for operator in evidence.operators:
        if chosen(operator.op_type):
            by_type[operator.op_type] = by_type.get(operator.op_type, 0.0) + operator.cycles
    share = _percent(evidence, chosen)
    if share < _WORTH_TELLING_PERCENT:
        return ""
    names = sorted(by_type, key=lambda name: -by_type[name])
    return f"{share:.0f} % of the time {words}: {', '.join(names[:3])}"


def _percent(evidence: Evidence, chosen: Callable[[str], bool]) -> float:
    total = sum(operator.cycles for operator in evidence.operators)
    found = sum(one.cycles for one in evidence.operators if chosen(one.op_type))
    return 100.0 * found / total if total else 0.0


def _is_int8(op_type: str) -> bool:
    return op_type.startswith(_INT8) or any(word in op_type for word in _INT8_XNNPACK)


def _is_float_product(op_type: str) -> bool:
    return _is_product(op_type) and not _is_int8(op_type) and not op_type.startswith(_EITHER)


def _is_product(op_type: str) -> bool:
    found = op_type.startswith((*_PRODUCTS, *_INT8, *_EITHER))
    return found and not _is_conversion(op_type)


def _is_conversion(op_type: str) -> bool:
    return op_type.startswith(_CONVERSIONS)


def _is_reformatting(op_type: str) -> bool:
    return op_type.startswith(_REFORMATTING) and not _is_product(op_type)
