from pathlib import Path

import numpy as np
import pytest
import torch
from support.onnx_models import weights
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


@pytest.mark.parametrize(
    "settings",
    [
        'mode = "linear"',
        'mode = "nearest", nearest_mode = "ceil"',
        'mode = "cubic", exclude_outside = 1',
    ],
)
def test_what_is_resized_to_computed_sizes_can_leave_for_any_runtime(
    settings: str, tmp_path: Path
) -> None:
    proto = model(
        "m (float[n, 2, h, v] x) => (float[n, 2, a, b] y)"
        "{ s = Shape(x) some = Slice(s, zero, two) rest = Slice(s, two, four) more = Mul(rest, by)"
        f" sizes = Concat<axis = 0>(some, more) y = Resize<{settings}>(x, , , sizes) }}",
        {
            "zero": np.array([0]),
            "two": np.array([2]),
            "four": np.array([4]),
            "by": np.array([2, 3]),
        },
    )
    x = weights(2, 2, 6, 8, seed=3)

    found = imported(proto, tmp_path)

    # Float32 arithmetic on positions; onnxruntime does its own in it too.
    assert_close(run(found, x=x), reference(proto, x=x), 1e-5)
    program = torch.export.export(found.module, (torch.from_numpy(x),))
    made = [node for node in program.graph.nodes if isinstance(node.meta.get("val"), torch.Tensor)]
    # TFLite has no float64 arithmetic, and LiteRT cannot scatter sums.
    assert all(node.meta["val"].dtype is not torch.float64 for node in made)
    assert not any("scatter" in str(node.target) for node in made)
