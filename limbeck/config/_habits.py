"""What settings are called elsewhere, for those who come with a habit."""

from __future__ import annotations

from collections.abc import Collection

_OURS = {
    "lr": "learning_rate",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "n_epochs": "epochs",
    "per_device_train_batch_size": "batch_size",
    "per_gpu_train_batch_size": "batch_size",
    "train_batch_size": "batch_size",
    "per_device_eval_batch_size": "evaluation_batch_size",
    "eval_batch_size": "evaluation_batch_size",
    "gradient_accumulation_steps": "accumulate",
    "max_seq_length": "max_length",
    "max_seq_len": "max_length",
    "block_size": "sequence_length",
    "model_name_or_path": "model",
    "model_name": "model",
    "teacher_name_or_path": "teacher",
    "student_name_or_path": "student",
    "output_dir": "out",
    "seed": "seeds",
    "adam_epsilon": "eps",
    "adam_beta1": "betas",
    "adam_beta2": "betas",
    "lr_scheduler_type": "schedule.decay",
    "warmup_ratio": "schedule.warmup_ratio",
    "warmup_steps": "schedule.warmup_ratio",
    "logging_steps": "log_every",
    "save_steps": "save_every",
    "early_stopping_patience": "patience",
    "train_file": "data.train",
    "validation_file": "data.validation",
    "test_file": "data.test",
    "dataset_name": "data",
    "task_name": "task",
    "fp16": "precision",
    "bf16": "precision",
    "torch_compile": "compile",
    "text_column": "task_options.text_column",
    "text_column_name": "task_options.text_column",
    "text_pair_column": "task_options.text_pair_column",
    "label_column": "task_options.label_column",
    "label_column_name": "task_options.label_column",
    "labels": "task_options.labels",
    "tokens_column": "task_options.tokens_column",
    "tags_column": "task_options.tags_column",
    "validation_ratio": "task_options.validation_ratio",
}


def our_name(given: str, accepted: Collection[str]) -> str | None:
    """Returns what a setting of `transformers` or its scripts is called here; None if unknown.

    Args:
        given: Its name there.
        accepted: The settings of the recipe; the answer, or the table it is in, is one of them.

    Example:
        >>> our_name("num_train_epochs", ["epochs", "learning_rate"])
        'epochs'
        >>> our_name("num_train_epochs", ["learning_rate"])
    """
    ours = _OURS.get(given)
    return ours if ours is not None and {ours, ours.partition(".")[0]} & {*accepted} else None
