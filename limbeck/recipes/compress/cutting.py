"""Students of some of the teacher's heads and neurons: those that the task's rows need most."""

from __future__ import annotations

from collections.abc import Sequence

from limbeck.methods import keep_layers
from limbeck.methods.keep_layers import KeepLayersSettings, choose_layers
from limbeck.methods.prune_units import count_share, keep_units
from limbeck.recipes._tasks.data import TaskData
from limbeck.recipes.compress.candidates import Candidate
from limbeck.recipes.compress.settings import CompressSettings
from limbeck.recipes.finetune.student import PASSED_ON
from limbeck.recipes.prune.choosing import choose_best
from limbeck.recipes.prune.measuring import score_units
from limbeck.recipes.prune.rounds import CUT, Cut, keep_cut
from limbeck.recipes.prune.settings import PruneSettings
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
    scores = score_units(model, _of_pruning(settings), data, number=1, progress=progress)
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
        keep_cut(cut.folder, small, data, source=data.folder)


def _of_pruning(settings: CompressSettings) -> PruneSettings:
    """Returns the settings of a pruning that measures importance on the same task."""
    shared = settings.model_dump(include=PASSED_ON)
    return PruneSettings.from_values({**shared, "model": settings.model, "heads": 0.5})
