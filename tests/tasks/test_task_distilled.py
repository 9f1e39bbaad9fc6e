"""Every task learns from a teacher: beside it, from its cache, and on texts of a masked LM."""

import json
import shutil

import pytest
import torch
from task_examples import EXAMPLES, TEXTS

from limbeck import AutoModelForMaskedLM, BertConfig, listing
from limbeck.errors import SettingsError
from limbeck.recipes.finetune import FinetuneSettings, run
from limbeck.tasks import collate, read_task
from limbeck.tokenizers import AutoTokenizer, train_wordpiece
from limbeck.train import SilentProgress, read_metrics

pytestmark = pytest.mark.slow

TRAINABLE = [
    name for name in listing.list_names("limbeck.tasks") if name not in ("sts", "retrieval")
]


@pytest.fixture
def ground(request, tmp_path):
    """Data of a task with some unlabelled rows, a teacher, a student and a masked LM."""
    examples = EXAMPLES[request.param]
    for split in ("train", "validation", "transfer"):
        hidden = examples.unlabelled if split == "transfer" else {}
        lines = [json.dumps(row | hidden) + "\n" for row in examples.rows]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    task = read_task(request.param, str(tmp_path), options=examples.options)
    tokenizer = train_wordpiece([*TEXTS, "what who 0 1 2 3 PER Anna Rome"], vocab_size=150)
    torch.manual_seed(0)
    for name, depth in (("teacher", 2), ("student", 1), ("masked", 1)):
        config = BertConfig(
            vocab_size=tokenizer.vocab_size,
            hidden_size=16,
            num_hidden_layers=depth,
            num_attention_heads=2,
            intermediate_size=32,
            initializer_range=0.3,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        ).replace(**(task.head() if name != "masked" else {}))
        kind = AutoModelForMaskedLM if name == "masked" else task.auto_model
        kind.from_config(config).save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    return request.param, tmp_path


def learn(ground, out, **changes):
    """Fine-tunes for some steps; returns their losses."""
    name, folder = ground
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "transfer")}
    values = {
        "model": str(folder / "student"),
        "teacher": str(folder / "teacher"),
        "task": name,
        "task_options": EXAMPLES[name].options,
        "data": files,
        "out": folder / out,
        "new_head": False,
        "max_length": 24,
        "batch_size": 3,
        "epochs": 6,
        "learning_rate": 1e-3,
        "log_every": 1,
        "device": "cpu",
    }
    run(FinetuneSettings.from_values(values | changes), progress=SilentProgress())
    lines = read_metrics(folder / out / "seed-0")
    return [line.values["loss"] for line in lines if line.kind == "train"]


every_task = pytest.mark.parametrize("ground", TRAINABLE, indirect=True)


@every_task
def test_a_cache_gives_the_training_beside_the_teacher(ground):
    live = learn(ground, "live")
    cached = learn(ground, "cached", teacher_cache=ground[1] / "cache")
    assert cached == pytest.approx(live, rel=1e-5, abs=1e-5)
    assert len(set(live)) > 1


@every_task
def test_layers_and_made_texts_are_learned_from(ground):
    augment = {"model": str(ground[1] / "masked"), "mask_ratio": 0.5}
    if ground[0] == "swag":
        with pytest.raises(SettingsError, match=r"augment is for tasks over one row of tokens"):
            learn(ground, "run", augment=augment)
        losses = learn(ground, "run", losses={"hidden_mse": {}, "attention_mse": {}})
    else:
        losses = learn(ground, "run", augment=augment, losses={"hidden_mse": {}, "cosine": {}})
        made = (ground[1] / "run/augmented.jsonl").read_text(encoding="utf-8").splitlines()
        assert len(made) >= len(EXAMPLES[ground[0]].rows)  # long ones have several windows
    assert sum(losses[-4:]) < sum(losses[:4])


@every_task
def test_two_teachers_say_together_the_mean_of_their_probabilities(ground):
    name, folder = ground
    task = read_task(name, str(folder), options=EXAMPLES[name].options)
    tokenizer = AutoTokenizer.from_pretrained(folder / "teacher")
    rows = task.encode(task.splits["train"], tokenizer, max_length=24)
    batch = collate(task, rows, range(len(rows)), pad_token_id=tokenizer.pad_token_id)
    logits = []
    for model in ("teacher", "student"):
        model = task.load_model(folder / model, new_head=False).eval()
        with torch.no_grad():
            logits.append(task.logits(model(**batch.inputs()), batch))
    counted = task.counted(batch)
    found = task.distributions(task.average(logits, (0.75, 0.25)), counted)
    one, other = (task.distributions(each, counted) for each in logits)
    if task.targets == "categorical":
        found, one, other = (each.softmax(dim=-1) for each in (found, one, other))
    torch.testing.assert_close(found, 0.75 * one + 0.25 * other)


@pytest.mark.parametrize(
    "ground",
    ["sst2", "stsb", "multi_label_classification", "ner", "squad", "swag"],
    indirect=True,
)
def test_a_teacher_and_its_copy_teach_what_it_teaches_alone(ground):
    _, folder = ground
    shutil.copytree(folder / "teacher", folder / "copy")
    both = [str(folder / "teacher"), str(folder / "copy")]
    losses = learn(ground, "both", teacher=both, teacher_cache=str(folder / "cache"))
    assert losses == pytest.approx(learn(ground, "alone"), rel=1e-4, abs=1e-6)
