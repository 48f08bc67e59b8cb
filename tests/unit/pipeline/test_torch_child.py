"""What the steps in PyTorch refuse before they begin."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.core.data import SplitName
from edgekit.core.progress import SILENT
from edgekit.core.samples import save_samples
from edgekit.errors import InputRefusedError
from edgekit.loading.source import ModelSource
from edgekit.pipeline.tasks import BuildRequest, LabelUses
from edgekit.pipeline.torch_child import build
from edgekit.training.settings import FitSettings
from edgekit.verification.settings import VerifySettings

CODE = "from torch import nn\ndef build():\n    return nn.Linear(6, 3)\n"


def test_labels_of_all_splits_are_held_against_the_model_before_it_is_trained(
    tmp_path: Path,
) -> None:
    (tmp_path / "a_linear_net.py").write_text(CODE)
    rows = {"input": np.zeros((4, 6), np.float32)}
    splits = {
        SplitName.TRAIN: save_samples(tmp_path / "train", rows, np.arange(4)),
        SplitName.TEST: save_samples(tmp_path / "test", rows, np.arange(4) + 1),
    }
    request = BuildRequest(
        source=ModelSource("a_linear_net:build", tmp_path, None, {}),
        samples=splits[SplitName.TRAIN],
        fit=FitSettings(epochs=10**9),
        directory=tmp_path / "saved",
        labels=LabelUses(splits, (FitSettings(),), VerifySettings()),
    )

    with pytest.raises(InputRefusedError) as caught:
        build(request, SILENT)

    assert "split 'train': there is a label 3" in caught.value.message
    assert "split 'test': there is a label 4" in caught.value.message
