"""What litert-torch refuses, or writes twice, where layers are written as they stand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgekit.core.artifact import Format
from edgekit.core.model import Model
from edgekit.core.samples import save_samples
from edgekit.core.tensors import Array
from edgekit.exporting.export import export
from edgekit.exporting.settings import ExportSettings
from edgekit.loading.trial import find_signature

# Deprecations inside PyTorch's exporter are not ours to fix.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]


class Looked(nn.Module):
    """A dense layer with a PReLU, read at pairs of which one half is an `arange`."""

    columns: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(64, 96)
        self.slope = nn.PReLU(96)
        self.register_buffer("columns", torch.tensor([[5], [3]]))

    def forward(self, x: Tensor) -> Tensor:
        rows = torch.arange(2).unsqueeze(1)
        pairs = torch.cat([rows, self.columns], 1)
        halves: Tensor = self.slope(self.dense(x)).reshape(-1, 2, 48)
        return halves[:, pairs[:, 0], pairs[:, 1]]


def test_dense_layers_are_stored_once_and_indices_of_two_widths_meet(tmp_path: Path) -> None:
    x: dict[str, Array] = {
        "x": np.random.default_rng(0).normal(size=(4, 64)).astype(np.float32),
    }
    samples = save_samples(tmp_path / "samples", x)
    module = Looked().eval()
    model = Model(module, find_signature(module, samples), ())

    report = export(model, samples, Format.TFLITE, tmp_path / "model", ExportSettings())

    weights = module.dense.weight.nbytes
    assert report.worst_relative_error < 1e-5
    assert weights < (tmp_path / "model").stat().st_size < 1.5 * weights
