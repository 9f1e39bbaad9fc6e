"""Tasks of a causal model whose tokenizer has one special token alone, as GPT-2's."""

from __future__ import annotations

import json

import pytest
import torch
import transformers
from tiny_task import FILLER, WORDS, finetune, make_rows, make_settings, write_data
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers, trainers

from limbeck import GPT2Config, GPT2LMHeadModel, Tokenizer
from limbeck.errors import MissingHeadError, SettingsError
from limbeck.inference import pipeline
from limbeck.models import AutoModelForSequenceClassification
from limbeck.recipes.finetune import plan


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory):
    """A language model as those of the Hub: no token for padding, in model or tokenizer."""
    folder = tmp_path_factory.mktemp("gpt2")
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = [*FILLER, *WORDS[0], *WORDS[1]]
    backend.train_from_iterator([f" {word}" for word in words] * 5, trainer)
    backend.model.save(str(folder))
    transformers.GPT2Tokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt")
    ).save_pretrained(folder)
    torch.manual_seed(7)
    config = GPT2Config(
        vocab_size=backend.get_vocab_size(),
        n_embd=16,
        n_layer=2,
        n_head=2,
        n_positions=48,
        initializer_range=0.1,
        bos_token_id=0,
        eos_token_id=0,
    )
    GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)


def write_rows(folder, row):
    """Writes one row as training and as validation data."""
    folder.mkdir()
    for name in ("train", "validation"):
        lines = [json.dumps({**row, "id": str(number)}) for number in range(8)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(folder)


@pytest.mark.slow
def test_padding_is_the_token_that_ends_texts(gpt2, tmp_path):
    """Fine-tuned and asked here and in `transformers`, which pads as the saved folder says."""
    data = write_data(tmp_path / "SST-2", test=0)
    finetune(gpt2, data, tmp_path / "run", max_length=40, epochs=3)
    folder = tmp_path / "run/model"
    theirs, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True
    )
    assert not any(info.values()), info
    assert theirs.config.pad_token_id == theirs.config.eos_token_id == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert tokenizer.pad_token == tokenizer.eos_token == "<|endoftext|>"
    texts = [row["sentence"] for row in make_rows(5, seed=9)]
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    assert not inputs["attention_mask"].all()
    ours = AutoModelForSequenceClassification.from_pretrained(folder)
    with torch.no_grad():
        expected = theirs.eval()(**inputs).logits
        torch.testing.assert_close(ours(**inputs).logits, expected, rtol=0.0, atol=1e-5)
        alone = ours(inputs["input_ids"][:1, : inputs["attention_mask"][0].sum()]).logits
    torch.testing.assert_close(alone, expected[:1], rtol=0.0, atol=1e-5)
    answers = [
        make("text-classification", str(folder), device="cpu")(texts)
        for make in (pipeline, transformers.pipeline)
    ]
    for mine, other in zip(*answers, strict=True):
        assert mine["label"] == other["label"]
        assert mine["score"] == pytest.approx(other["score"], abs=1e-5)
    assert "pad_token" not in Tokenizer.from_pretrained(gpt2).config.special_tokens
    message = r"augment.model = .*gpt2.*: gpt2 has no GPT2ForMaskedLM; accepted: GPT2Model, GPT2LM"
    given = {"teacher": str(folder), "augment": {"model": gpt2}, "max_length": 40}
    with pytest.raises(SettingsError, match=message):
        finetune(gpt2, data, tmp_path / "augmented", **given)


def test_a_task_that_the_family_has_no_head_for(gpt2, tmp_path):
    row = {"sent1": "a", "sent2": "b", **{f"ending{i}": f"c{i}" for i in range(4)}, "label": 0}
    data = write_rows(tmp_path / "choices", row)
    settings = make_settings(gpt2, data, tmp_path / "run", task="swag")
    message = r"has no head for task = .swag.: gpt2 has no GPT2ForMultipleChoice; accepted: GPT2M"
    with pytest.raises(SettingsError, match=message):
        plan(settings)
    assert not (tmp_path / "run").exists()


def test_a_language_model_is_not_a_classifier_yet(gpt2):
    with pytest.raises(MissingHeadError, match="no head for this task yet; fine-tune it first"):
        pipeline("text-classification", gpt2)


@pytest.mark.slow
def test_its_words_and_answers(gpt2, tmp_path):
    """The heads of tokens and answers, which see what is before them alone."""
    words = {"tokens": ["the", "film", "Rain"], "ner_tags": ["O", "O", "B-X"]}
    data = write_rows(tmp_path / "ner", words)
    learning = {"max_length": 40, "epochs": 30, "learning_rate": 1e-2}
    result = finetune(gpt2, data, tmp_path / "n", task="ner", **learning)
    assert result.seeds[0].validation["f1"] == 1
    found = pipeline("ner", str(tmp_path / "n/model"), device="cpu")("the film Rain")
    assert {answer["entity"] for answer in found} <= {"B-X", "I-X"}
    context = "the film is about rain seen twice"
    row = {
        "question": "what rain",
        "context": context,
        "answers": {"text": ["about rain"], "answer_start": [12]},
    }
    data = write_rows(tmp_path / "squad", row)
    options = {"task": "squad", "task_options": {"stride": 4, "max_question_tokens": 16}}
    finetune(gpt2, data, tmp_path / "q", **options, **learning)
    ask = pipeline("question-answering", str(tmp_path / "q/model"), device="cpu")
    answer = ask(question="what rain", context=context, doc_stride=4, max_question_len=16)
    assert answer["answer"].strip() == "about rain"
