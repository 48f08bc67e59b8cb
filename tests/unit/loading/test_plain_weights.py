import copy
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from edgekit.core.samples import save_samples
from edgekit.loading.factory import build_model
from edgekit.loading.plain_weights import make_weights_plain
from edgekit.loading.saved import load_model, save_model
from edgekit.loading.source import ModelSource

CODE = """
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

def build():
    return nn.Sequential(weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 2))
"""


def old(function: Callable[..., nn.Module]) -> Callable[[nn.Module], nn.Module]:
    def silently(layer: nn.Module) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return function(layer)

    return silently


@pytest.mark.parametrize(
    "normed",
    [
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        old(nn.utils.weight_norm),
        old(nn.utils.spectral_norm),
    ],
)
def test_plain_weights_give_the_same_outputs(normed: Callable[[nn.Module], nn.Module]) -> None:
    module = nn.Sequential(nn.Sequential(normed(nn.Linear(4, 6))), nn.Linear(6, 2)).eval()
    x = torch.randn(3, 4)
    before = module(x)

    changed = make_weights_plain(module)

    assert changed == ("0.0.weight",)
    assert set(module.state_dict()) == {"0.0.weight", "0.0.bias", "1.weight", "1.bias"}
    torch.testing.assert_close(copy.deepcopy(module)(x), before)


def test_a_module_without_such_weights_is_left_alone() -> None:
    assert make_weights_plain(nn.Sequential(nn.Linear(2, 2))) == ()


def test_a_model_with_such_weights_is_saved_and_loaded(tmp_path: Path) -> None:
    (tmp_path / "normed_net.py").write_text(CODE)
    rows = np.ones((3, 4), np.float32)
    source = ModelSource("normed_net:build", tmp_path, None, {})

    model = build_model(source, save_samples(tmp_path / "samples", {"input": rows}))
    loaded = load_model(save_model(model, source, tmp_path / "saved"))

    assert "0.weight" in model.history[0].summary
    inputs = torch.from_numpy(rows)
    torch.testing.assert_close(loaded.module(inputs), model.module(inputs), rtol=0, atol=0)
