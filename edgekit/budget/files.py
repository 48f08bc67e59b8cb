"""Results about bare model files, so that a budget can judge them without a run."""

from edgekit.core.artifact import Artifact
from edgekit.core.results import ArtifactResult, Profile, Unavailable


def file_result(
    artifact: Artifact, profiles: tuple[Profile, ...], notes: tuple[str, ...] = ()
) -> ArtifactResult:
    """Return what is known of a model file; its label is the file's name."""
    return ArtifactResult(
        label=artifact.path.name,
        format=artifact.format,
        precision=artifact.precision,
        file=str(artifact.path),
        sha256=artifact.sha256,
        size_bytes=artifact.size_bytes,
        size_ratio=Unavailable("a file alone has nothing to be a ratio of"),
        fidelity=Unavailable("there is no reference model to compare a file alone with"),
        profiles=profiles,
        changes=(),
        notes=notes,
    )
