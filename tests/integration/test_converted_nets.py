"""Recurrent nets as compact loops and generators of pictures in TFLite, in float and int8."""

from collections import Counter
from pathlib import Path

import pytest
from support.converted_nets import EXPORT_NETS, NETS, ExportNets
from support.quantizing import Quantized, sqnr_db

from edgekit.core.process import Limits, call
from edgekit.core.samples import open_samples
from edgekit.loading.artifact import open_artifact
from edgekit.quantization.quantize import quantize
from edgekit.quantization.settings import QuantizeSettings
from edgekit.runtimes.inspect import inspect_file

pytestmark = pytest.mark.integration

TESTS = Path(__file__).parents[1]
LOOPS = {"whole": 4, "last": 1, "halves": 2, "long": 2 * 3, "one_step": 0, "generator": 0}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("nets")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(TESTS))
        response = call(EXPORT_NETS, ExportNets(folder), limits=Limits())
    return folder, dict(zip(NETS, response.errors, strict=True))


def operators(path: Path) -> Counter[str]:
    return Counter({found.op_type: found.count for found in inspect_file(path).operators})


def test_a_file_computes_what_pytorch_computes(written: tuple[Path, dict[str, float]]) -> None:
    _, errors = written

    assert set(errors) == set(LOOPS)
    assert max(errors.values()) < 1e-5  # float32 sums in another order


@pytest.mark.parametrize("name", NETS)
def test_every_direction_of_a_layer_is_one_loop_or_a_few_where_it_is_long(
    name: str, written: tuple[Path, dict[str, float]]
) -> None:
    found = operators(written[0] / f"{name}.tflite")

    assert found["WHILE"] == LOOPS[name]
    assert not any("COMPOSITE" in op_type for op_type in found)
    assert found.total() < 40 * max(LOOPS[name], 1)


@pytest.mark.parametrize("name", ["whole", "last", "halves", "long", "generator"])
def test_all_products_are_int8(
    name: str, written: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    artifact = open_artifact(written[0] / f"{name}.tflite")
    samples = open_samples(written[0] / f"{name}.samples")

    report = quantize(artifact, samples, QuantizeSettings(), tmp_path / "int8")

    assert report.int8_macs_percent == 100
    assert sqnr_db(Quantized(artifact, samples, tmp_path / "int8", report)) > 30
