"""Students of some of the teacher's heads and neurons: those that the task's rows need most."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.methods import keep_layers
from limbeck.methods._choosing import choose_best
from limbeck.methods.keep_layers import KeepLayersSettings, choose_layers
from limbeck.methods.prune_units import count_share, keep_units
from limbeck.recipes._cut import CUT, Cut, keep_cut
from limbeck.recipes._importance import Ranking, score_units
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.runs import require_model_files
from limbeck.train import Progress, choose_device


def cut_students(
    settings: CompressSettings, data: TaskData, candidates: Sequence[Candidate], progress: Progress
) -> None:
    """Writes what the narrow students start from, unless that was done before.

    One measurement on the teacher serves all of them: how much the loss on training rows would
    change without a head or a neuron. Each layer keeps those without which it would change most.

    Raises:
        CheckpointError: If a file of one that was written before was changed.
    """
    waiting = []
    for candidate in candidates:
        cut = candidate.cut
        if cut is None:
            continue
        if Cut.exists(cut.folder):
            remedy = f"remove {cut.folder}, and the same command cuts it again"
            require_model_files(cut.folder / CUT, Cut.read(cut.folder).model_files, remedy=remedy)
        else:
            waiting.append(cut)
    if not waiting:
        return
    model = data.task.load_model(data.folder, new_head=False).to(choose_device(settings.device))
    ranking = Ranking(importance="taylor", batch_size=settings.batch_size, seed=settings.seeds[0])
    scores = score_units(model, ranking, data, progress=progress)
    model.cpu()
    every = model.config.num_places
    for cut in waiting:
        layers = choose_layers(cut.depth, num_teacher_layers=every)
        own = scores.of_layers(layers)
        units = choose_best(
            own,
            num_heads=[count_share(len(of_layer), cut.width) for of_layer in own.heads],
            num_neurons=[count_share(len(of_layer), cut.width) for of_layer in own.neurons],
        )
        small = model
        if len(layers) < every:
            small = keep_layers.apply(model, KeepLayersSettings(layers=cut.depth))
        small = keep_units(small, units.heads, units.neurons)
        tokenizer = data.tokenizer
        if cut.vocabulary is not None:
            small, tokenizer = cut.vocabulary.trim(small), cut.vocabulary.tokenizer
        keep_cut(cut.folder, small, tokenizer, source=data.folder)
