"""How far an export is from its model: by numbers, by answers, and blind to padding."""

import json

import numpy as np
import pytest
import torch
from exported_models import make_sentence_graph
from pipeline_models import write_model

from limbeck.errors import ExportError
from limbeck.export import load_graph, measure_difference
from limbeck.inference.engines.torch import TorchEngine
from limbeck.models import (
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)


class Shifted(TorchEngine):
    """Adds to what the model gives of real tokens, and anything at all to padding."""

    shift = 0.0

    def compute(self, batch):
        mask = np.asarray(batch["attention_mask"], dtype=np.float32)
        found = {}
        for name, array in super().compute(batch).items():
            is_of_tokens = array.shape[:2] == mask.shape
            places = mask.reshape(*mask.shape, *[1] * (array.ndim - 2)) if is_of_tokens else 1.0
            found[name] = array + self.shift * places + 100 * (1 - places)
        return found


def measure(folder, shift):
    graph = load_graph(folder)
    engine = Shifted(graph.model, device="cpu")
    engine.shift = shift
    batches = [dict(zip(graph.input_names, graph.example(rows=3), strict=True))]
    with torch.no_grad():
        outputs = [output.numpy() for output in graph(*batches[0].values())]
    return measure_difference(graph, engine, batches), outputs, batches[0]["attention_mask"] > 0


HEADS = [
    AutoModel,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
]


@pytest.mark.parametrize("auto_model", HEADS, ids=lambda auto: auto.__name__)
def test_it_is_what_numpy_says(auto_model, tmp_path):
    labels = ["a", "b"] if auto_model is AutoModelForQuestionAnswering else ["a", "b", "c"]
    folder = write_model(tmp_path, auto_model=auto_model, labels=labels)
    found, outputs, mask = measure(folder, 0.25)
    assert found.largest == pytest.approx(0.25, abs=1e-5)
    is_of_tokens = auto_model is not AutoModelForSequenceClassification
    values = [output[mask.numpy()] if is_of_tokens else output for output in outputs]
    assert found.relative == pytest.approx(max(0.25 / value.std() for value in values), rel=1e-4)
    assert found.num_rows == 3
    if auto_model is AutoModel:
        (one,) = values
        cosines = torch.cosine_similarity(torch.tensor(one), torch.tensor(one) + 0.25, dim=-1)
        assert found.cosine == pytest.approx(float(cosines.mean()), rel=1e-4)
        assert found.agreement is None
    else:  # what is added to all labels alike changes no answer
        assert (found.agreement, found.cosine) == (1.0, None)


def test_of_several_labels_each_is_an_answer(tmp_path):
    folder = write_model(tmp_path, problem_type="multi_label_classification")
    found, (logits,), _ = measure(folder, 100.0)
    assert found.agreement == pytest.approx((logits > 0).mean())


def test_numbers_are_no_answers(tmp_path):
    found, _, _ = measure(write_model(tmp_path, labels=["LABEL_0"]), 0.1)
    assert (found.agreement, found.cosine) == (None, None)


def test_what_is_not_finite_is_refused(tmp_path):
    folder = write_model(tmp_path)
    with pytest.raises(ExportError, match="the export gives logits that are not finite"):
        measure(folder, float("nan"))


def test_a_family_that_is_not_ours_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "t5", "architectures": ["T5Model"]}')
    expected = r"a model of the family 't5', which transformers runs .* limbeck list models"
    with pytest.raises(ExportError, match=expected):
        load_graph(tmp_path)


def test_encoder_of_sentences_named_after_its_language_model(tmp_path):
    make_sentence_graph().model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["architectures"] = ["BertForMaskedLM"]  # as all-mpnet-base-v2 has it
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert load_graph(tmp_path).class_name == make_sentence_graph().class_name
