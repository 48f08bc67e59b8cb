from pathlib import Path

import numpy as np
import pytest
from support.onnx_text import assert_close, imported, model, reference, run

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("mode", ["avg", "max"])
def test_regions_that_leave_the_image_are_pooled_as_onnxruntime_does(
    mode: str, tmp_path: Path
) -> None:
    proto = model(
        f"""g (float[2, 3, 8, 9] x, float[4, 4] rois) => (float[4, 3, 2, 5] y) {{
            which = Constant<value = int64[4] {{0, 1, 1, 0}}>()
            y = RoiAlign<mode = "{mode}", output_height = 2, output_width = 5, sampling_ratio = 3,
                spatial_scale = 0.5>(x, rois, which)
        }}"""
    )
    x = RNG.normal(size=(2, 3, 8, 9)).astype(np.float32)
    starts = RNG.uniform(-6, 10, (4, 2))
    rois = np.hstack([starts, starts + RNG.uniform(0.5, 16, (4, 2))]).astype(np.float32)

    found = run(imported(proto, tmp_path), x=x, rois=rois)

    assert_close(found, reference(proto, x=x, rois=rois), 1e-5)


def test_a_deformed_convolution_reads_where_it_is_told(tmp_path: Path) -> None:
    proto = model(
        """g (float[2, 4, 7, 6] x, float[2, 36, 4, 6] o, float[6, 2, 3, 3] w)
            => (float[2, 6, 4, 6] y) {
            y = DeformConv<group = 2, offset_group = 2, strides = [2, 1], pads = [2, 1, 2, 1],
                dilations = [2, 1], kernel_shape = [3, 3]>(x, w, o)
        }""",
        opset=19,
    )
    shapes = {"x": (2, 4, 7, 6), "o": (2, 36, 4, 6), "w": (6, 2, 3, 3)}
    inputs = {name: RNG.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}

    found = run(imported(proto, tmp_path), **inputs)

    assert_close(found, reference(proto, **inputs), 1e-5)
