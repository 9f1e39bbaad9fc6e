"""A compression that a test can wait for."""

from limbeck.recipes.compress import CompressSettings

FAST = {"max_length": 16, "batch_size": 8, "learning_rate": 3e-3, "device": "cpu"}


def make_settings(model, data, out, **changes):
    return CompressSettings(**({"model": model, "data": data, "out": out} | FAST | changes))
