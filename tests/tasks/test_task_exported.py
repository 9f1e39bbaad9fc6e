"""A task of every kind of head, scored on an exported model as on the model itself."""

import json

import pytest
from task_examples import EXAMPLES
from test_task_contract import make_model, options, write

from limbeck.recipes import evaluate
from limbeck.recipes.export import ExportSettings, run
from limbeck.tasks import read_task
from limbeck.tokenizers import train_wordpiece
from limbeck.train import SilentProgress

pytestmark = pytest.mark.slow

TASKS = ["multi_label_classification", "ner", "squad_v2", "sts", "swag"]


def write_sentence_files(folder):
    parts = {"Transformer": "", "Pooling": "1_Pooling"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{name}"}
        for i, (name, path) in enumerate(parts.items())
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling/config.json").write_text(json.dumps(pooling))


@pytest.mark.parametrize("name", TASKS)
def test_the_score_is_the_models(name, tmp_path):
    (tmp_path / "data").mkdir()
    data = write(tmp_path / "data", name)
    words = [json.dumps(row) for row in EXAMPLES[name].rows]
    tokenizer = train_wordpiece(words, vocab_size=150)
    task = read_task(name, data, options=options(name))
    model = make_model(task, tokenizer)
    model.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    if name == "sts":
        write_sentence_files(tmp_path / "model")
    shared = {"task": name, "data": data, "task_options": options(name), "max_length": 24}
    given = {"model": str(tmp_path / "model"), "to": "onnx", "out": str(tmp_path / "run")}
    settings = ExportSettings.from_values({**shared, **given, "num_rows": 4, "measure": False})
    (exported,) = run(settings, progress=SilentProgress()).models
    assert exported.score.drop == pytest.approx(0, abs=1e-6)
    assert exported.outputs.relative < 1e-4
    scored = evaluate.run(
        evaluate.EvaluateSettings.from_values(
            {**shared, "model": exported.folder, "out": str(tmp_path / "scored"), "device": "cpu"}
        ),
        progress=SilentProgress(),
    )
    assert scored.scores[scored.metric] == pytest.approx(exported.score.score)
