"""Adversarial training on the token table (FGM)."""

import keras

from tfkit.errors import ModelError
from tfkit.keras_types import Tensor, Tensors
from tfkit.models.text import token_embedding
from tfkit.training.objectives import Objective


def adversarial(model: keras.Model, *, epsilon: float = 1.0, weight: float = 1.0) -> keras.Model:
    """Wrap a text model so that `fit` also trains it on a token table moved to where its loss rises fastest.

    The fast gradient method of Miyato et al. 2017 (arXiv:1605.07725), on the embedding matrix: with g the gradient of
    the loss L in the matrix E, each step descends L(E) + weight * L(E + epsilon * g / ||g||). The paper moves each
    text's embedded tokens; moving the matrix needs nothing of the network, and is what is commonly called FGM. The
    matrix is moved in a frozen or adapted encoder too, and is put back to the bit before the optimizer steps.
    A step takes twice the time. `loss` in the history is L(E), so that it compares with the validation's.

    Args:
        model: Gives logits; a text classifier's logits model, or another objective around one.
        epsilon: Length of the move, more than 0. A token's row is about 1 long in BERT.
        weight: What the moved loss counts, more than 0.

    Returns:
        A model to compile and to fit on the TensorFlow backend. Save the model given, not this.

    Raises:
        ModelError: When a value is out of range, or the model has no token table.

    Example:
        >>> teaching = adversarial(logits_model(text_classifier), epsilon=0.5)  # as `objective` of fine_tune_text
    """
    faults = [
        f"{option} must be more than 0; got {value}"
        for option, value in (("epsilon", epsilon), ("weight", weight))
        if value <= 0
    ]
    if faults:
        raise ModelError("adversarial training: " + "; ".join(faults), hint="leave it out to train without")
    return _Adversarial(model, token_embedding(_learner(model)), epsilon, weight)


def _learner(model: keras.Model) -> keras.Model:
    """The model that learns: not the teacher, whose token table a distiller holds too."""
    while isinstance(model, Objective):
        model = model.inner
    return getattr(model, "student", model)


class _Adversarial(Objective):
    def __init__(self, inner: keras.Model, embedding: keras.layers.Embedding, epsilon: float, weight: float) -> None:
        super().__init__(inner, f"{inner.name}_adversarial")
        # By name: the table may be one that LoRA froze, or that quantisation rounds.
        self._table = next(variable for variable in embedding.weights if variable.name == "embeddings")
        self._epsilon, self._weight = epsilon, weight

    def train_step(self, data: tuple[Tensors, ...]) -> dict[str, Tensor]:
        import tensorflow as tf

        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        table, weights = self._table.value, self.trainable_weights
        loss, logits, gradients, slope = self._gradients(x, y, sample_weight)
        kept = tf.identity(table)
        slope = tf.cast(tf.convert_to_tensor(slope), kept.dtype)  # a lookup's gradient comes as the rows it touched
        table.assign(kept + self._epsilon * slope / (tf.norm(slope) + 1e-12))
        _, _, moved, _ = self._gradients(x, y, sample_weight)
        table.assign(kept)
        both = [
            None if clean is None else tf.convert_to_tensor(clean) + self._weight * tf.convert_to_tensor(other)
            for clean, other in zip(gradients, moved, strict=True)
        ]
        self.optimizer.apply_gradients(zip(both, weights, strict=True))
        shown = next(metric for metric in self.metrics if metric.name == "loss")
        shown.update_state(loss, sample_weight=tf.shape(tf.nest.flatten(x)[0])[0])
        return dict(self.compute_metrics(x, y, logits, sample_weight=sample_weight))

    def _gradients(
        self, x: Tensors, y: Tensor, sample_weight: Tensor | None
    ) -> tuple[Tensor, Tensor, list[Tensor | None], Tensor]:
        """Loss, logits, the gradients of what learns, and that of the token table."""
        import tensorflow as tf

        table = self._table.value
        with tf.GradientTape() as tape:
            tape.watch(table)  # a frozen one is not watched by itself
            logits = self(x, training=True)
            loss = self.compute_loss(x=x, y=y, y_pred=logits, sample_weight=sample_weight, training=True)
            scaled = self.optimizer.scale_loss(loss)
        *gradients, slope = tape.gradient(scaled, [*(weight.value for weight in self.trainable_weights), table])
        return loss, logits, gradients, slope
