"""Labels are matched by name, and numbers are numbers however a table has typed them."""

import csv
import json

import pytest

from limbeck.config import read_settings
from limbeck.errors import DataError, SettingsError
from limbeck.recipes.evaluate import EvaluateSettings
from limbeck.tasks import load_task, read_task
from limbeck.tasks._labels import LabelSet, align_names

datasets = pytest.importorskip("datasets")


def write_rows(path, rows):
    """Writes rows as the end of the file's name says."""
    if path.suffix == ".parquet":
        datasets.Dataset.from_list(rows).to_parquet(path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            form = {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
            form = form if path.suffix == ".tsv" else {}
            writer = csv.DictWriter(file, list(rows[0]), **form)
            writer.writeheader()
            writer.writerows(rows)
    return path


def read_labels(tmp_path, *labels, name="text_classification", ending="csv", split="train", **more):
    column = more.pop("column", "text")
    label_column = "labels" if name == "multi_label_classification" else "label"
    rows = [{column: f"text {i}", label_column: label} for i, label in enumerate(labels)]
    path = write_rows(tmp_path / f"{split}.{ending}", rows)
    task = read_task(name, {split: str(path)}, **more)
    return task.labels, [example.label for example in task.splits[split].examples]


def declared(names, *labels, split="train", column="sentence"):
    features = datasets.Features(
        {column: datasets.Value("string"), "label": datasets.ClassLabel(names=names)}
    )
    rows = {column: [f"text {i}" for i in range(len(labels))], "label": list(labels)}
    return {split: datasets.Dataset.from_dict(rows, features=features)}


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_numbers_are_numbers_however_a_table_has_typed_them(tmp_path, ending):
    for labels in (["1.0", "0.0"], ["1.", "-0.0"], ["1", "0"]):
        found = read_labels(tmp_path, *labels, ending=ending)
        assert found == (("LABEL_0", "LABEL_1"), [1, 0])
    found = read_labels(tmp_path, "1.0", "0.0", name="sst2", column="sentence", ending=ending)
    assert found == (("NEGATIVE", "POSITIVE"), [1, 0])
    hidden = ["-1.0", "-1.0"]
    found = read_labels(
        tmp_path, *hidden, name="sst2", column="sentence", ending=ending, split="test"
    )
    assert found[1] == [None, None]
    assert read_labels(tmp_path, "00", "01", "00", ending=ending) == (("00", "01"), [0, 1, 0])
    assert read_labels(tmp_path, "2.0", "1.5", ending=ending) == (("1.5", "2"), [1, 0])


def test_splits_may_type_their_numbers_in_another_way(tmp_path):
    train = write_rows(tmp_path / "train.csv", [{"text": "a", "label": i} for i in (3, 5)])
    floats = [{"text": "a", "label": label} for label in ("5.0", "3.0")]
    validation = write_rows(tmp_path / "validation.csv", floats)
    task = read_task("text_classification", {"train": str(train), "validation": str(validation)})
    assert task.labels == ("3", "5")
    assert [example.label for example in task.splits["validation"].examples] == [1, 0]


@pytest.mark.parametrize("ending", ["csv", "tsv", "jsonl", "parquet"])
def test_a_list_that_was_written_as_text_is_the_list(tmp_path, ending):
    name = "multi_label_classification"
    labels = ["['good', 'dull']", '["dull"]', "[]", "good", "dull,good"]
    found = read_labels(tmp_path, *labels, name=name, ending=ending)
    assert found == (("dull", "good"), [(0, 1), (0,), (), (1,), (0, 1)])
    labels = ["('good', 'dull')", "('dull',)", "()", "(good)", "{'dull'}"]  # of other kinds
    found = read_labels(tmp_path, *labels, name=name, ending=ending)
    assert found == (("(good)", "dull", "good"), [(1, 2), (1,), (), (0,), (1,)])
    broken = ["['good', 'dull'", "'good', 'dull']", '("good", "dull"', "{'good': 1}"]
    for bad in (
        "['good' 'dull']",
        "[good, dull]",
        "['good', ['dull']]",
        "[x for x in y]",
        *broken,
    ):
        with pytest.raises(DataError, match=r"train.*(line|row) \d: .* is no set of labels; a"):
            read_labels(tmp_path, bad, name=name, ending=ending)
    with pytest.raises(DataError, match=r"label \"\['good', 'dull'\]\".*task=multi_label_class"):
        read_labels(tmp_path, "['good', 'dull']", "dull", ending=ending)


def test_words_tags_and_endings_that_were_written_as_text_are_lists(tmp_path):
    row = {"tokens": "['Anna', \"O'Hara\"]", "ner_tags": '["B-PER", "I-PER"]'}
    task = read_task("ner", {"train": str(write_rows(tmp_path / "ner.csv", [row]))})
    (sentence,) = task.splits["train"].examples
    assert sentence.words == ("Anna", "O'Hara")
    assert sentence.label == ("B-PER", "I-PER")
    row = {"sent1": "it", "sent2": "is", "endings": "['so', 'not so']", "label": "1.0"}
    path = write_rows(tmp_path / "swag.csv", [row])
    task = read_task("swag", {"train": str(path)}, options={"choices_column": "endings"})
    (choice,) = task.splits["train"].examples
    assert (choice.endings, choice.label) == (("is so", "is not so"), 1)


def test_numbers_of_declared_classes_are_matched_by_name():
    given = {
        **declared(["positive", "negative"], 0, 1),
        **declared(["negative", "positive"], 0, 1, -1, split="test"),
    }
    given["test"] = given["test"].select([0, 1])
    given["validation"] = [{"sentence": "as in train", "label": 0}]
    for labels in (["negative", "positive"], ["POSITIVE", "NEGATIVE"]):
        for name, options in (("sst2", {"labels": labels}), ("text_classification", {})):
            options = {"text_column": "sentence", **options}
            task = read_task(name, given, options=options, labels=labels)
            found = {
                split: [task.labels[example.label].lower() for example in rows.examples]
                for split, rows in task.splits.items()
            }
            assert found == {
                "train": ["positive", "negative"],
                "test": ["negative", "positive"],
                "validation": ["positive"],
            }


def test_declared_names_name_what_a_model_only_numbers():
    given = declared(["sad", "glad"], 0, 1)
    options = {"text_column": "sentence"}
    task = read_task("text_classification", given, options=options, labels=["LABEL_0", "LABEL_1"])
    assert task.labels == ("sad", "glad")
    numbered = declared(["0", "1"], 0, 1)  # no names
    task = read_task("text_classification", numbered, options=options, labels=["sad", "glad"])
    assert [example.label for example in task.splits["train"].examples] == [0, 1]
    stars = declared(["1", "2", "3"], 0, 2)
    task = read_task("text_classification", stars, options=options, labels=["3", "2", "1"])
    assert [example.label for example in task.splits["train"].examples] == [2, 0]


def test_declared_names_that_a_model_does_not_know_are_refused():
    given, options = declared(["neg", "pos"], 0, 1), {"text_column": "sentence"}
    message = (
        r"^train, row 0: unknown label 'neg' \('0', by the names of the data set\) in column "
        r"'label'; known: bad, good\..*task_options\.rename_labels\.neg=\.\.\., with the right one"
    )
    with pytest.raises(DataError, match=message):
        read_task("text_classification", given, options=options, labels=["bad", "good"])
    options["rename_labels"] = {"neg": "bad", "pos": "good"}
    task = read_task("text_classification", given, options=options, labels=["good", "bad"])
    assert [task.labels[example.label] for example in task.splits["train"].examples] == [
        "bad",
        "good",
    ]
    task = read_task("text_classification", given, options=options)
    assert task.labels == ("bad", "good")
    options["rename_labels"] = {"neg": "pos"}
    with pytest.raises(SettingsError, match=r"rename_labels leaves pos alone.* needs two"):
        read_task("text_classification", given, options=options)


def test_the_numbers_of_a_benchmark_keep_their_names_in_another_order():
    rows = [{"premise": "a", "hypothesis": "b", "label": label} for label in (0, 1, 2)]
    labels = ["contradiction", "entailment", "neutral"]
    task = read_task("mnli", {"train": rows}, options={"labels": labels})
    names = [task.labels[example.label] for example in task.splits["train"].examples]
    assert names == ["entailment", "neutral", "contradiction"]
    others = read_task("mnli", {"train": rows}, options={"labels": ["x", "y", "z"]})
    assert [example.label for example in others.splits["train"].examples] == [0, 1, 2]
    options = {"rename_labels": {"neutral": "other", "contradiction": "other"}}
    merged = read_task("mnli", {"train": rows}, options=options)
    assert merged.labels == ("entailment", "other")
    assert [example.label for example in merged.splits["train"].examples] == [0, 1, 1]


def test_lists_of_declared_classes_are_matched_by_name():
    features = datasets.Features(
        {
            "text": datasets.Value("string"),
            "labels": datasets.List(datasets.ClassLabel(names=["dull", "good"])),
        }
    )
    rows = {"text": ["a", "b", "c"], "labels": [[0, 1], [], [0]]}
    given = {"train": datasets.Dataset.from_dict(rows, features=features)}
    task = read_task("multi_label_classification", given, labels=["good", "fine", "dull"])
    assert [example.label for example in task.splits["train"].examples] == [(0, 2), (), (2,)]
    task = read_task("multi_label_classification", given)
    assert task.labels == ("dull", "good")


def test_parts_of_a_split_that_name_their_classes_in_another_way_are_refused(tmp_path):
    for number, names in enumerate((["bad", "good"], ["good", "bad"])):
        part = declared(names, 0, 1)["train"]
        part.to_parquet(tmp_path / f"train-{number}.parquet")
    with pytest.raises(DataError, match=r"train-1\.parquet declares .*'label' as good, bad, and"):
        read_task("sst2", str(tmp_path))


def test_a_card_beside_the_files_names_their_classes(tmp_path):
    write_rows(tmp_path / "train.csv", [{"text": "a", "label": i} for i in (0, 1)])
    card = tmp_path / "README.md"
    card.write_text(
        "---\ndataset_info:\n  features:\n  - {name: text, dtype: string}\n  - name: label\n"
        "    dtype: {class_label: {names: {'0': sad, '1': glad}}}\n---\n",
        encoding="utf-8",
    )
    assert read_task("text_classification", str(tmp_path)).labels == ("sad", "glad")
    card.write_text("---\ndataset_info: [\n---\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"README\.md declares the columns .* correct or remove it"):
        read_task("text_classification", str(tmp_path))
    card.write_text("# My dataset_info\n---\n", encoding="utf-8")
    assert read_task("text_classification", str(tmp_path)).labels == ("LABEL_0", "LABEL_1")


def test_a_label_is_found_by_its_spelling_first():
    labels = LabelSet(["US", "us", "1"], numbers=["us", "US"])
    assert [labels.place(text) for text in ("US", "us", "1", "0", "Us")] == [0, 1, 2, 1, None]
    assert labels.place("1", is_number=True) == 0


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("labels=a,b", {"labels": ("a", "b")}),
        ("labels=-1,0,1", {"labels": ("-1", "0", "1")}),
        ("labels=[0, 1]", {"labels": ("0", "1")}),
        ("labels=[true, false]", {"labels": ("true", "false")}),
        ("labels=none", {"labels": None}),
        ("class_weights=1,3", {"class_weights": (1.0, 3.0)}),
        ("class_weights=balanced", {"class_weights": "balanced"}),
        ("label_column=2020", {"label_column": "2020"}),
        ("label_column=2020-01-31", {"label_column": "2020-01-31"}),
        ("text_column=true", {"text_column": "true"}),
        ("text_column=a,b", {"text_column": "a,b"}),
        ("rename_labels.1=0", {"rename_labels": {"1": "0"}}),
        ("stride=8", {"stride": 8}),
    ],
)
def test_options_take_the_forms_that_settings_take(override, expected):
    settings = read_settings(
        EvaluateSettings, None, ["model=m", "out=o", f"task_options.{override}"]
    )
    options = load_task("text_classification").read_options(settings.task_options)
    assert options.model_dump(include=set(expected)) == expected


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("labels=3", r"task_options: labels = .*: give at least two labels"),
        (
            "class_weights=1,x",
            r"class_weights = '1,x' .* also task_options\.class_weights=0",
        ),
        ("stride=-1", r"task_options: stride = -1 is not accepted\. .*>= 0"),
        ("labels=[[1], [2]]", r"task_options: labels.* also task_options\.labels=a,b|text"),
    ],
)
def test_wrong_options_are_answered_with_the_form_that_they_take(override, message):
    settings = read_settings(
        EvaluateSettings, None, ["model=m", "out=o", f"task_options.{override}"]
    )
    with pytest.raises(SettingsError, match=message):
        load_task("text_classification").read_options(settings.task_options)


def test_rows_without_a_label_are_refused_with_what_to_do():
    rows = [{"premise": "a", "hypothesis": "b", "label": label} for label in (0, -1, 2)]
    message = (
        r"^train, row 1: column 'label' has no label, and so have 1 of the 3 rows of train\. Only "
        r"a test .*task_options\.skip_unlabelled=true"
    )
    with pytest.raises(DataError, match=message):
        read_task("mnli", {"train": rows})


@pytest.mark.parametrize(
    ("of_model", "of_task", "places"),
    [
        (["B", "a"], ["A", "b"], [1, 0]),
        (["Us", "us"], ["us", "Us"], [1, 0]),  # two labels, told apart by their case alone
        (["LABEL_1", "LABEL_0"], ["LABEL_0", "LABEL_1"], [1, 0]),  # numbers are names of each other
        (["1", "0"], ["0", "1"], [1, 0]),
        (["LABEL_0", "LABEL_1"], ["bad", "good"], [0, 1]),
        (["0", "1"], ["LABEL_0", "LABEL_1"], [0, 1]),
        (["a", "a"], ["a", "a"], [0, 1]),
    ],
)
def test_labels_are_matched_as_they_are_written_first(of_model, of_task, places):
    assert align_names(of_model=of_model, of_task=of_task) == places


def test_labels_that_case_alone_tells_apart_are_not_guessed():
    with pytest.raises(DataError, match=r"labels \(US, us\) are not the task's \(Us, us\)"):
        align_names(of_model=["US", "us"], of_task=["Us", "us"])


def test_numbers_of_labels_stand_by_their_size():
    rows = [{"text": "a", "labels": list(range(12))}, {"text": "b", "labels": []}]
    task = read_task("multi_label_classification", {"train": rows})
    assert task.labels == tuple(map(str, range(12)))  # as those of a model, LABEL_0 to LABEL_11
    assert task.for_model([f"LABEL_{i}" for i in range(12)]).places is None
