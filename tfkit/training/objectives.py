"""What the ways to train a model differently have in common: a model around the model, so that they go together."""

import keras

from tfkit.keras_types import Tensor, Tensors


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
