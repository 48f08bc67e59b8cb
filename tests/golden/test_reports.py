"""What people read of a run; a change here is a change of the product."""

import io
from pathlib import Path

import pytest
from rich.console import RenderableType
from support.results import record

from edgekit.core.results import Verdict
from edgekit.reporting.markdown import files_markdown, run_markdown, verdict_markdown
from edgekit.reporting.report import REPORT_VERSION, FilesReport
from edgekit.reporting.terminal import files_view, gate_view, run_view, write

HERE = Path(__file__).parent
RECORD = record()
FILES = FilesReport(REPORT_VERSION, "0.1.0", RECORD.artifacts, RECORD.verdict)
VERDICT = RECORD.verdict or Verdict(())


def plain(view: RenderableType) -> str:
    stream = io.StringIO()
    write(view, stream)
    return stream.getvalue()


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("report_run.txt", plain(run_view(RECORD))),
        ("report_run.md", run_markdown(RECORD)),
        ("report_files.txt", plain(files_view(FILES))),
        ("report_files.md", files_markdown(FILES)),
        ("report_gate.txt", plain(gate_view(RECORD, VERDICT))),
        ("report_verdict.md", verdict_markdown(VERDICT)),
    ],
)
def test_report_reads_as_agreed(name: str, text: str) -> None:
    expected = (HERE / name).read_text(encoding="utf-8")

    assert text == expected, f"{name} reads otherwise now; if that is better, store it"
