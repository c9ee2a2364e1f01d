"""What all stages share that train a compressed text classifier: its batches, and its teacher."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Unpack

import keras

from tfkit.compression import FeaturePair, PreparedStage, distiller
from tfkit.data.text import TextExamples, Tokenizer
from tfkit.models import logits_model
from tfkit.models.text import open_transformer
from tfkit.stages.outcome import CompressedStage, finished_stage
from tfkit.tasks import CLASSIFICATION, Task
from tfkit.training.fine_tune_text import train_on_texts
from tfkit.training.options import TextTrainOptions, refuse_unknown


@dataclass(frozen=True, eq=False, kw_only=True)
class TextTeacher:
    """Who teaches a smaller text classifier, and how; see `tfkit.compression.distiller`.

    Attributes:
        model: A float text classifier over the same tokens; it is not changed.
        temperature: How much its answers are softened.
        alpha: Share of its answers in the loss, 0 to 1.
        hidden_states: What the layers' results count beside the answers, where layers were removed or made narrower;
            0 leaves them out (Jiao et al. 2020, https://arxiv.org/abs/1909.10351).
        task: What both are asked.
    """

    model: keras.Model
    temperature: float = 4.0
    alpha: float = 0.5
    hidden_states: float = 0.0
    task: Task = CLASSIFICATION

    def objective(self, pairs: tuple[FeaturePair, ...] = ()) -> Callable[[keras.Model], keras.Model]:
        """What `train_batches` takes as its objective: it puts the student, an opened one, into a distiller."""
        teacher = logits_model(open_transformer(self.model))
        weights = {"temperature": self.temperature, "alpha": self.alpha}
        return partial(distiller, teacher=teacher, features=pairs, task=self.task, **weights)


def train_prepared_text(
    name: str,
    prepared: PreparedStage,
    train: TextExamples,
    validation: TextExamples,
    tokenizer: Tokenizer,
    **options: Unpack[TextTrainOptions],
) -> CompressedStage:
    """Train what compression has made ready, and finish it.

    Args:
        name: The stage's name in reports.
        prepared: The opened text classifier to train.
        train: Training texts.
        validation: Validation texts; may be empty.
        tokenizer: The backbone's tokeniser.
        **options: The keyword arguments of `tfkit.training.fine_tune_text.train_on_texts`.

    Returns:
        The trained model.
    """
    refuse_unknown("train_prepared_text", options, TextTrainOptions)
    options["callbacks"] = prepared.callbacks
    return finished_stage(name, prepared, train_on_texts(prepared.model, train, validation, tokenizer, **options))
