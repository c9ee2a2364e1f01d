"""What a text classifier may be trained on beside its loss: R-Drop and adversarial texts."""

import keras
from keras import ops

from tfkit.errors import ModelError
from tfkit.keras_types import Tensor, Tensors
from tfkit.models.text import token_embedding


class Objective(keras.Model):
    """A model around one that gives logits, which is trained in place; `fit` this, save that.

    It trains what the inner model trains, with the inner model's loss, so that objectives go around each other and
    around a distiller: `adversarial(r_drop(layer_rates(logits)))`. Validation gives the inner model's loss.

    Args:
        inner: From inputs to logits; a plain model, or another objective.
        name: The model's name.
    """

    def __init__(self, inner: keras.Model, name: str) -> None:
        super().__init__(name=name)
        self.inner = inner
        self.built = True

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer | None = "rmsprop",
        loss: str | keras.losses.Loss | None = None,
        **options: object,
    ) -> None:
        """As Keras's; the inner model gets the loss, and may change the optimizer."""
        stepping = None if optimizer is None else self.prepared(keras.optimizers.get(optimizer))
        super().compile(optimizer=stepping, loss=loss, **options)
        self.inner.compile(optimizer=None, loss=loss, jit_compile=False)

    def prepared(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        """The optimizer to step with, given the one asked for."""
        return self.inner.prepared(optimizer) if isinstance(self.inner, Objective) else optimizer

    def call(self, inputs: Tensors, training: bool | None = None) -> Tensor:
        return self.inner(inputs, training=training)

    def compute_loss(
        self,
        x: Tensors | None = None,
        y: Tensor | None = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        return self.inner.compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)


def r_drop(model: keras.Model, *, alpha: float = 1.0) -> keras.Model:
    """Wrap a model so that `fit` also brings two of its answers to the same inputs together.

    Liang et al. 2021 (arXiv:2106.14448): each batch goes through twice, dropout drawing anew. With answers p and q,
    the loss is (L(p) + L(q)) / 2 + alpha * (KL(p || q) + KL(q || p)) / 2, as in the authors' code; the paper writes
    it without the first 1/2. A step takes twice the time; validation gives the compiled loss alone.

    Args:
        model: Gives logits (n, classes), with a dropout in it; or another objective around such a model.
        alpha: Weight of the divergence, more than 0; the paper takes 0.5 to 5.

    Returns:
        A model to compile with a loss on logits, and to fit. Save the model given, not this.

    Raises:
        ModelError: When alpha is not more than 0, or the model drops nothing, so that both answers would be one.

    Example:
        >>> teaching = r_drop(logits_model(text_classifier), alpha=1.0)  # as `objective` of fine_tune_text
    """
    faults = [f"alpha must be more than 0; got {alpha}"] if alpha <= 0 else []
    drops = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Dropout) and layer.rate > 0]
    if not drops:
        faults.append(f"model '{model.name}' has no dropout, so that two passes would be equal")
    if faults:
        raise ModelError("R-Drop: " + "; ".join(faults), hint="build the classifier with dropout=0.1")
    return _RDrop(model, alpha)


class _RDrop(Objective):
    def __init__(self, inner: keras.Model, alpha: float) -> None:
        super().__init__(inner, f"{inner.name}_r_drop")
        self._alpha = alpha

    def compute_loss(
        self,
        x: Tensors | None = None,
        y: Tensor | None = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        first = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if not training:
            return first
        again = self.inner(x, training=True)
        second = super().compute_loss(x=x, y=y, y_pred=again, sample_weight=sample_weight, training=True)
        # Of devices that train together each gives its part, as the compiled loss does.
        apart = self._aggregate_additional_loss(self._alpha * _divergence(y_pred, again))
        return (first + second) / 2 + apart


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    """Half of KL(p || q) + KL(q || p), which is half of sum((p - q) * (log p - log q)); the mean over the batch."""
    p, q = (ops.log_softmax(ops.cast(logits, "float32")) for logits in (one, other))
    return ops.mean(ops.sum((ops.exp(p) - ops.exp(q)) * (p - q), axis=-1)) / 2


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
