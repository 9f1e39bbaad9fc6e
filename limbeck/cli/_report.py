"""`report`: a page that joins finished runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from limbeck.cli._common import COMMON, Common, Flag, align, note
from limbeck.errors import SettingsError


def report(
    *runs: Annotated[Path, Parameter(help="Finished run folders of finetune or evaluate.")],
    out: Annotated[Path, Parameter(help="Folder to write the report to.")],
    teacher: Annotated[str | None, Parameter(help="Folder or label of the teacher's run.")] = None,
    distill_run: Annotated[Path | None, Parameter(help="Run that made the student.")] = None,
    title: Annotated[str | None, Parameter(help="Heading of the report.")] = None,
    measure: Annotated[bool, Parameter(help="Measure speed now.")] = True,
    dry_run: Annotated[bool, Flag, Parameter(help="Read the runs; write nothing.")] = False,
    common: Common = COMMON,
) -> dict[str, Any]:
    """Join runs into one page: what the student kept, at what size and speed."""
    from limbeck.recipes._tasks.speeds import measure_runs
    from limbeck.report import write_report
    from limbeck.report.runs import read_finetune_run

    if not runs and distill_run is None:
        raise SettingsError(
            "command line: no run given; accepted: one or more folders of finetune or evaluate, "
            "or --distill-run with that of a distillation"
        )
    if not runs and distill_run is not None:
        return _report_distillation(distill_run, out=out, title=title, dry_run=dry_run)
    if dry_run:
        read = [read_finetune_run(folder) for folder in runs]
        common.tell(*align((str(run.folder), run.role, run.label) for run in read))
        return {"dry_run": True, "labels": [run.label for run in read], "out": str(out)}
    written = write_report(
        runs,
        out=out,
        teacher=teacher,
        distill_run=distill_run,
        title=title,
        measure=partial(measure_runs, progress=common.progress()) if measure else None,
    )
    files = [str(out / name) for name in ("report.md", "report.html", "report.json")]
    note(written.headline, f"written: {', '.join(files)}")
    return {"headline": written.headline, "files": files}


def _report_distillation(
    folder: Path, *, out: Path, title: str | None, dry_run: bool
) -> dict[str, Any]:
    """Writes the page of a distillation from which nothing was fine-tuned yet."""
    from limbeck.report import write_distillation_report
    from limbeck.report.distillation import read_distillation

    if dry_run:
        read_distillation(folder)
        return {"dry_run": True, "labels": [], "out": str(out)}
    headline, written = write_distillation_report(folder, out=out, title=title)
    files = [str(path) for path in written.values()]
    note(headline, f"written: {', '.join(files)}")
    return {"headline": headline, "files": files}
