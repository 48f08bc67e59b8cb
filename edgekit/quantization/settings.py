"""What a recipe may say about quantization."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated

from pydantic import Field

from edgekit.core.registry import PluginOf, Registry
from edgekit.quantization.observed import RangeMethod
from edgekit.quantization.ranges.min_max import MinMax

RANGES = Registry[RangeMethod]("edgekit.quantization.ranges", "range method")


class Activation(Enum):
    """The type of activations in an int8 ONNX file; TFLite knows signed ones only.

    Both are equally accurate. `auto` is unsigned: on x86 onnxruntime has fast kernels for
    unsigned activations with signed weights only, and on ARM it runs both alike.
    """

    AUTO = "auto"
    UINT8 = "uint8"
    INT8 = "int8"


class Scales(Enum):
    """When the scale of an activation is found.

    `static`: once, by calibration. `dynamic`: for each row, as the model runs, by operators that
    can; more accurate where rows differ much, as in large attention nets, and for newer runtimes
    only. `auto` is static, and dynamic where that falls short of `min_sqnr_db` and dynamic does
    better.
    """

    AUTO = "auto"
    STATIC = "static"
    DYNAMIC = "dynamic"


@dataclass(frozen=True)
class QuantizeSettings:
    """How a float file becomes an int8 file.

    Attributes:
        ranges: How the range of an activation is chosen from what was observed.
        activation: The type of activations in an ONNX file.
        scales: When the scale of an activation is found: `static`, by calibration, runs everywhere;
            `dynamic`, for each row as the model runs; `auto` is static unless that misses
            `min_sqnr_db`.
        calibration_samples: Samples to calibrate on, at most.
        per_channel: A scale for each channel of a weight, not one for all of it.
        keep_float: Patterns (`*` and `?`) of operator names or types; what matches stays float.
        min_sqnr_db: Keep the operators that hurt most in float until outputs have this much signal
            over noise on calibration samples; 0 measures nothing.
        random_calibration: Calibrate on random data, to try things out; its ranges mean nothing.
        allow_quantized: Pass a file that is quantized already through as it is, not refuse it.
    """

    ranges: Annotated[RangeMethod, PluginOf(RANGES)] = field(default_factory=MinMax)
    activation: Activation = Activation.AUTO
    scales: Scales = Scales.AUTO
    calibration_samples: Annotated[int, Field(ge=1)] = 256
    per_channel: bool = True
    keep_float: tuple[str, ...] = ()
    min_sqnr_db: Annotated[float, Field(ge=0, le=60)] = 25.0
    random_calibration: bool = False
    allow_quantized: bool = False
