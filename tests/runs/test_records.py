"""Every record of a run: written, read, and refused where it is damaged or of another version."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from limbeck.errors import DataError
from limbeck.files.typed import TypedFile, seal
from limbeck.inference.footprint import Footprint
from limbeck.inference.speed import Round, Speed
from limbeck.runs import (
    CompressedModel,
    CompressRecord,
    DistillRecord,
    EvaluateRecord,
    ExamplesRecord,
    FinetuneRecord,
    Hardware,
    PretrainRecord,
    QuickstartModel,
    QuickstartRecord,
    RunRecord,
    SeedRecord,
    Share,
    SpeedsRecord,
    SuiteModelScores,
    SuiteRecord,
    SuiteTaskScores,
    read_task_record,
)
from limbeck.runs.beginning import BeginningPoint, BeginningRecord
from limbeck.runs.costs import CostsRecord, FootprintsRecord, Probe
from limbeck.runs.export import RepairRecord

SIZE = {"num_layers": 2, "num_parameters": 100, "file_bytes": 400}
NAMES = {
    "task": "sst2",
    "metric": "accuracy",
    "labels": ("no", "yes"),
    "label": "half",
    "role": "student",
    "model": "a/model",
}
MACHINE = Hardware(
    cpu="A processor",
    num_cores=4,
    num_usable_cores=2,
    memory_bytes=2**33,
    gpus=("A card",),
    num_threads=2,
    system="Linux",
)
SEED = SeedRecord(
    seed=3,
    folder="seed-3",
    validation={"accuracy": 0.75, "num_examples": 4},
    test=None,
    best_epoch=1.5,
    best_step=3,
    num_steps=6,
    num_epochs=3.0,
    elapsed_seconds=1.25,
    examples_sha256="a" * 64,
    tokenizer_sha256="c" * 64,
    predictions_sha256="b" * 64,
    **SIZE,
)
TRAINING = {
    "model": "run/model",
    "num_steps": 2,
    "num_tokens": 256,
    "elapsed_seconds": 0.5,
    "held_out_before": {"mlm_loss": 5.0},
    "held_out_after": {"mlm_loss": 4.0},
}
RECORDS: list[TypedFile] = [
    RunRecord(
        recipe="finetune",
        settings={"epochs": 3.0, "data": {"train": "x.jsonl"}},
        limbeck_version="0.1",
        versions={"python": "3.11"},
        seed=None,
        hardware=MACHINE,
        git=None,
        command="limbeck finetune",
        started_at="2026-11-27T05:00:00+00:00",
    ),
    SEED,
    FinetuneRecord(**NAMES, **SIZE, initialise="pretrained", best_seed=3, seeds=(SEED,)),
    EvaluateRecord(
        **NAMES,
        **SIZE,
        split="test",
        num_examples=4,
        scores=None,
        details={"labels": ["no", "yes"], "confusion_matrix": [[1, 0], [0, 3]]},
        submission=None,
        elapsed_seconds=0.5,
        predictions_sha256="b" * 64,
    ),
    PretrainRecord(**TRAINING),
    DistillRecord(
        **TRAINING,
        teacher="teacher",
        num_layers=1,
        num_parameters=60,
        teacher_num_layers=2,
        teacher_num_parameters=100,
    ),
    CompressRecord(
        asked={"retain": 0.97},
        examples_sha256="a" * 64,
        task="sst2",
        metric="accuracy",
        split="validation",
        num_examples=4,
        retain=0.97,
        reached=False,
        chosen=None,
        model=None,
        headline="None keeps enough.",
        on_test=None,
        models=(
            CompressedModel(
                name="1 layer",
                role="student",
                how="1 of 2 layers",
                folder="run/students/1-layer",
                seeds=(0, 1),
                scores=(0.5, 0.75),
                score=0.625,
                retained=0.9,
                retained_interval=(0.8, 1.0),
                reached=False,
                latency_ms=None,
                speed_up=None,
                **SIZE,
            ),
        ),
        files={"html": "run/compress.html"},
    ),
    SuiteRecord(
        suite="glue",
        headline="The student keeps 97 %.",
        findings=(),
        averaged_tasks=("sst2",),
        missing={"cola": "no data"},
        tasks=(SuiteTaskScores(name="sst2", metric="accuracy", medians={"half": 0.9}),),
        models=(
            SuiteModelScores(
                label="half",
                role="student",
                average=0.9,
                median_average=0.9,
                retention=Share(estimate=0.97, low=0.9, high=1.0),
            ),
        ),
        report="run/report/report.html",
    ),
    QuickstartRecord(
        headline="It works.",
        findings=("ahead",),
        models=(QuickstartModel(**dict.fromkeys(QuickstartModel.model_fields, "-")),),
        report="report.html",
        student="run/model",
        command="limbeck predict run/model",
    ),
    SpeedsRecord(
        machine=MACHINE,
        speeds={
            "half": Speed(
                rounds=(
                    Round(
                        latency_ms=1.0,
                        model_latency_ms=0.5,
                        texts_per_second=100.0,
                        tokens_per_second=1000.0,
                    ),
                ),
                batch_size=32,
                max_length=128,
                num_texts=64,
                num_latency_texts=16,
                num_threads=2,
                device="cpu",
            )
        },
    ),
    ExamplesRecord(splits={"train": "a" * 64}),
    CostsRecord(
        machine=MACHINE,
        probes=(
            Probe(
                source="1 layer",
                target="onnx-int8",
                file_bytes=1000,
                latencies_ms={8: 0.5, 32: 0.75},
                noise=0.02,
                loaded_bytes=None,
            ),
        ),
    ),
    RepairRecord(
        costs={"encoder.layers.0.attention.query": (0.25, 0.125), "classifier": (0.5,)},
        refusals={2: "accuracy falls", 10: None},
    ),
    BeginningRecord(
        epochs=3.0,
        points=(
            BeginningPoint(share=0.25, step=20, scores={"accuracy": 0.8}, elapsed_seconds=12.5),
        ),
    ),
    FootprintsRecord(
        machine=MACHINE,
        footprints={"1 layer, onnx-int8": Footprint(file_bytes=1000, loaded_bytes=2000)},
    ),
]


@pytest.fixture(params=RECORDS, ids=lambda record: type(record).__name__)
def record(request: pytest.FixtureRequest) -> TypedFile:
    found: TypedFile = request.param
    return found


def change(record: TypedFile, where: Path, /, **changes: Any) -> Path:
    """Writes a record with some of its values changed."""
    record.write(where)
    path = where / record.FILE_NAME
    values = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps(values))
    return path


def test_it_survives(record: TypedFile, tmp_path: Path) -> None:
    assert record.write(tmp_path / "new") is record
    assert type(record).read(tmp_path / "new") == record
    written = json.loads((tmp_path / "new" / record.FILE_NAME).read_text())
    assert written == seal(json.loads(json.dumps(record.to_dict())))
    assert next(iter(written)) == "format"
    assert [*written][-1] == "checksum"


def test_it_does_not_change(record: TypedFile) -> None:
    name = next(iter(type(record).model_fields))
    with pytest.raises(ValueError, match="frozen"):
        setattr(record, name, None)


def test_another_version_is_refused(record: TypedFile, tmp_path: Path) -> None:
    remedy = "remov|again"
    path = change(record, tmp_path, format=2)
    match = rf"{path.name} has format 2, that of a newer Limbeck; this version reads format 1: .*"
    with pytest.raises(DataError, match=f"{match}({remedy})"):
        type(record).read(tmp_path)
    change(record, tmp_path, format=0)
    with pytest.raises(DataError, match=rf"{path.name} has format 0, that of an older Limbeck"):
        type(record).read(tmp_path)
    values = json.loads(path.read_text())
    del values["format"]
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=rf"{path.name} has no format, that of an older Limbeck"):
        type(record).read(tmp_path)


def test_damage_is_named_by_its_place(record: TypedFile, tmp_path: Path) -> None:
    cls = type(record)
    name = next(name for name in reversed(cls.model_fields) if cls.model_fields[name].is_required())
    path = change(record, tmp_path)
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=rf"{path.name} is damaged: it lacks {name}; "):
        cls.read(tmp_path)
    change(record, tmp_path, colour="red")
    with pytest.raises(DataError, match=rf"{path.name} is damaged: there is no field 'colour'; "):
        cls.read(tmp_path)
    change(record, tmp_path, **{name: {"wrong": {}}})
    with pytest.raises(DataError, match=rf"{path.name} is damaged: (it lacks )?{name}"):
        cls.read(tmp_path)
    remedy = re.escape(cls.REMEDY.format(folder=tmp_path))
    path.write_text("[1]")
    with pytest.raises(DataError, match=rf"{path.name} holds a JSON list; accepted: .*; {remedy}$"):
        cls.read(tmp_path)
    path.write_text('{"format"')
    with pytest.raises(DataError, match=rf"{path.name} is not JSON: .*; {remedy}$"):
        cls.read(tmp_path)


def test_a_value_that_was_damaged_and_is_still_one_is_refused(
    record: TypedFile, tmp_path: Path
) -> None:
    path = tmp_path / record.FILE_NAME
    for name, value in record.write(tmp_path).to_dict().items():
        other = {str: f"{value}x", int: 7, float: 7.5, bool: value is not True}.get(type(value))
        if name not in ("format", "recipe") and other is not None:
            change(record, tmp_path, **{name: other})
            with pytest.raises(DataError, match=rf"{path.name} is damaged: "):
                type(record).read(tmp_path)
    change(record, tmp_path, checksum=math.inf)
    with pytest.raises(DataError, match=rf"{path.name} is damaged: checksum is inf; "):
        type(record).read(tmp_path)
    remedy = re.escape(record.REMEDY.format(folder=tmp_path))
    change(record, tmp_path, checksum="0" * 64)
    with pytest.raises(DataError, match=rf"differ from its checksum; {remedy}. If you changed it"):
        type(record).read(tmp_path)
    values = json.loads(path.read_text())
    del values["checksum"]
    path.write_text(json.dumps(values))
    assert type(record).read(tmp_path) == record


def test_a_field_deep_inside_is_named(tmp_path: Path) -> None:
    record = next(record for record in RECORDS if isinstance(record, FinetuneRecord))
    path = change(record, tmp_path)
    values = json.loads(path.read_text())
    values["seeds"][0]["best_step"] = "third"
    path.write_text(json.dumps(values))
    with pytest.raises(DataError) as caught:
        FinetuneRecord.read(tmp_path)
    assert str(caught.value) == (
        f"{path} is damaged: seeds.0.best_step: Input should be a valid integer, unable to parse "
        f"string as an integer; run it again, after removing {tmp_path} or with another out=..."
    )


def test_what_was_scored_and_which_is_best() -> None:
    record = next(record for record in RECORDS if isinstance(record, FinetuneRecord))
    assert record.best is record.seeds[0]
    assert SEED.scores == {"validation": {"accuracy": 0.75, "num_examples": 4}}
    both = SEED.model_copy(update={"test": {"accuracy": 0.5}})
    assert both.scores == SEED.scores | {"test": {"accuracy": 0.5}}


def test_a_run_that_has_not_finished_or_is_another(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no run folder .*absent"):
        FinetuneRecord.read(tmp_path / "absent")
    with pytest.raises(DataError, match=r"has no result.json: it is not a run folder; start it ag"):
        FinetuneRecord.read(tmp_path)
    RECORDS[0].write(tmp_path)
    with pytest.raises(DataError, match=r"has no result.json: it has not finished; start it again"):
        FinetuneRecord.read(tmp_path)
    distill = next(record for record in RECORDS if isinstance(record, DistillRecord))
    distill.write(tmp_path)
    with pytest.raises(DataError, match=r"holds a run of 'distill', not of 'finetune'$"):
        FinetuneRecord.read(tmp_path)
    with pytest.raises(DataError, match=r"a run of 'distill', not of 'finetune' or 'evaluate'; a "):
        read_task_record(tmp_path)


def test_either_kind_of_task_run_is_read(tmp_path: Path) -> None:
    for kind in (FinetuneRecord, EvaluateRecord):
        record = next(record for record in RECORDS if isinstance(record, kind))
        record.write(tmp_path)
        assert read_task_record(tmp_path) == record
