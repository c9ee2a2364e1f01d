"""R-Drop: two passes with other dropout are to give the same answer."""

import keras
from keras import ops

from tfkit.errors import ModelError
from tfkit.keras_types import Tensor, Tensors
from tfkit.training.objectives import Objective


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
        return (first + second) / 2 + self._alpha * _divergence(y_pred, again)


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    """Half of KL(p || q) + KL(q || p), which is half of sum((p - q) * (log p - log q)); the mean over the batch."""
    p, q = (ops.log_softmax(ops.cast(logits, "float32")) for logits in (one, other))
    return ops.mean(ops.sum((ops.exp(p) - ops.exp(q)) * (p - q), axis=-1)) / 2
