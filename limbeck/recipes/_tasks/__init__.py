"""What the recipes over tasks share: a task's data as token ids, fine-tuned models, cards."""
