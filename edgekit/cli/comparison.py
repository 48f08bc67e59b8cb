"""Two models held against each other on the same samples: what `--test` and `--max-loss` do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from edgekit.cli.progress import step
from edgekit.config.source import typed_options
from edgekit.core.artifact import Artifact
from edgekit.core.progress import Progress
from edgekit.core.results import Fidelity, Unavailable
from edgekit.core.samples import Samples
from edgekit.core.tensors import Array
from edgekit.errors import InputRefusedError
from edgekit.runtimes.execute import execute
from edgekit.units import parse_points
from edgekit.verification.metric import Metric, refuse_unfit_labels
from edgekit.verification.settings import VerifySettings
from edgekit.verification.verify import verify


@dataclass(frozen=True)
class Judge:
    """What labels are judged by, and how much of it may be lost; no limit where `text` is ''."""

    metric: Metric
    text: str

    def __post_init__(self) -> None:
        """Refuse a limit that the metric has no use for.

        Raises:
            click.BadParameter: The limit is no number, or has the wrong unit.
        """
        if self.text:
            self._limit()

    def refuse_unfit(self, test: Samples, archive: Path | None, model: Artifact) -> None:
        """Refuse samples that nothing can be judged by, before any work is done.

        Raises:
            InputRefusedError: There is a limit and they carry no labels, or labels that the
                metric cannot hold against the outputs of `model`.
        """
        outputs = model.signature.outputs
        if test.has_labels and outputs:
            refuse_unfit_labels(self.metric, test.labels(), outputs[0])
        if self.text and not test.has_labels:
            raise InputRefusedError(
                f"{archive} has no labels, and --max-loss needs them",
                hint="add an array named 'labels' with one row a sample",
            )

    def compare(
        self, reference: Mapping[str, Array], candidate: Mapping[str, Array], test: Samples
    ) -> Fidelity:
        """Return how far two models' outputs on `test`, `[samples, ...]` each, are apart.

        Raises:
            InputRefusedError: Outputs or labels do not fit each other or the metric.
        """
        labels = test.labels() if test.has_labels else None
        return verify(reference, candidate, labels, self.metric)

    def over(self, fidelity: Fidelity) -> str:
        """Say by how much too much is lost, or nothing."""
        if not self.text:
            return ""
        if isinstance(fidelity.loss, Unavailable):
            return f"the loss cannot be had: {fidelity.loss.reason}"
        if fidelity.loss > self._limit():
            return f"loses {fidelity.loss:.2f} {fidelity.unit}, more than {self.text}"
        return ""

    def _limit(self) -> float:
        try:
            return parse_points(self.text) if self.metric.unit == "pp" else float(self.text)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--max-loss") from None


def judge(metric: str, max_loss: str, test: Path | None) -> Judge:
    """Return the judge that the command line's options describe.

    Raises:
        click.UsageError: There is a limit, and nothing to check it on.
        UsageError: There is no such metric.
    """
    if max_loss and test is None:
        raise click.UsageError("--max-loss needs --test, with labels")
    return Judge(typed_options(VerifySettings, {"metric": metric}).metric, max_loss)


def compare_files(
    pair: tuple[Artifact, Artifact],
    test: Samples,
    by: Judge,
    folder: Path,
    progress: Progress,
) -> Fidelity:
    """Run both files on `test`, each in the runtime of its format, and compare the outputs.

    Raises:
        EdgekitError: A file does not run, or the two do not fit each other.
    """
    with step(progress, "compare"):
        reference, candidate = (
            execute(artifact, test, folder / f"outputs-{place}", progress=progress)
            for place, artifact in enumerate(pair)
        )
        return by.compare(reference, candidate, test)


def fidelity_rows(fidelity: Fidelity) -> list[list[str]]:
    """Return the lines that tell of a comparison, as columns."""

    def told(value: float | Unavailable, unit: str, of: str = "") -> str:
        if isinstance(value, Unavailable):
            return f"unknown: {value.reason}"
        return f"{value:.2f} {unit}".strip() + of

    return [
        ["loss", told(fidelity.loss, fidelity.unit, f" ({fidelity.metric})")],
        ["agreement", told(fidelity.agreement_percent, "%")],
        ["cosine", f"{fidelity.cosine:.5f}"],
        ["sqnr", f"{fidelity.sqnr_db:.1f} dB over {fidelity.samples} samples"],
    ]
