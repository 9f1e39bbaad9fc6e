"""What each kind of teacher offers, and which of them a name is taken for."""

from typing import get_args

import pytest
from tiny_task import LABELS, write_model

from limbeck import listing
from limbeck.losses import View
from limbeck.recipes.finetune import teachers

KINDS = listing.list_names(teachers.__name__)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("models") / "teacher", head=LABELS)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_says_what_it_gives_and_is_no_catch_all(name, tmp_path):
    kind = listing.load(teachers.__name__, name)
    assert issubclass(kind.TeacherType, teachers.Teacher)
    assert kind.TeacherType.gives
    assert kind.TeacherType.gives <= set(get_args(View))
    assert kind.TeacherType.about[:2] in ("a ", "an")
    assert not kind.recognises(str(tmp_path / "missing"))


def test_a_model_of_ours_is_one_for_one_kind_alone(model):
    found = [n for n in KINDS if listing.load(teachers.__name__, n).recognises(model)]
    assert found == ["own_model"]
