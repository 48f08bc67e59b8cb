"""What a recipe may say about exporting."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from edgekit.core.artifact import Format

AxisName = Annotated[str, Field(pattern=r"^(|[A-Za-z_]\w*)$")]
"""What an axis is called; nothing, where it is left as it is."""


@dataclass(frozen=True)
class ExportSettings:
    """Which files to write, and how close to PyTorch they have to be.

    Attributes:
        formats: The files to write.
        opset: The version of ONNX's operators; TFLite has none.
        check_samples: Samples on which every file is compared with PyTorch.
        max_relative_error: The largest difference of an output, relative to the largest value
            that PyTorch gives for that output over the samples checked.
        dynamic_axes: Axes that an ONNX file takes in any size, besides the batch: by input, the
            names of those after the batch in order, such as `{tokens: [steps]}`; an empty name
            leaves one as it is. TFLite files have the sizes of the samples.
    """

    formats: Annotated[tuple[Format, ...], Field(min_length=1)] = (Format.ONNX, Format.TFLITE)
    opset: Annotated[int, Field(ge=17, le=24)] = 20
    check_samples: Annotated[int, Field(ge=1)] = 16
    max_relative_error: Annotated[float, Field(gt=0)] = 1e-4
    dynamic_axes: dict[str, tuple[AxisName, ...]] = field(default_factory=dict)
