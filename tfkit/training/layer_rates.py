"""Layer-wise learning-rate decay: what a pretrained encoder learned first moves least."""

from collections.abc import Mapping, Sequence

import keras
from keras import ops

from tfkit.errors import ModelError
from tfkit.keras_types import LayerConfig, Tensor
from tfkit.models.text import encoder_blocks
from tfkit.training.objectives import Objective


def layer_factors(model: keras.Model, decay: float) -> dict[str, float]:
    """The share of the learning rate that each weight of a text classifier gets.

    Howard and Ruder 2018 (arXiv:1801.06146), as ELECTRA (arXiv:2003.10555) counts it: 1 in the head, `decay` in the
    last block, `decay**2` in the one before, and so on down to the embeddings below the first block.

    Args:
        model: A text classifier, or its logits model.
        decay: In (0, 1]; 0.9 to 0.65 are usual for 6 to 24 blocks.

    Returns:
        A factor by the path of the weight.

    Raises:
        ModelError: When `decay` is out of range, or the model has no encoder blocks.

    Example:
        >>> factors = layer_factors(text_classifier, 0.8)  # the nearer to the inputs, the slower
        >>> min(factors.values()) < max(factors.values()) == 1.0
        True
    """
    if not 0 < decay <= 1:
        raise ModelError(f"layer-wise decay must be in (0, 1]; got {decay}", hint="0.9 is mild, 0.65 is strong")
    blocks = encoder_blocks(model)
    factors: dict[str, float] = {}
    depth = 0
    for layer in model.layers:
        if layer in blocks:
            depth = blocks.index(layer) + 1
        elif depth == len(blocks):  # behind the last block: the head
            depth += 1
        factors |= {weight.path: decay ** (len(blocks) + 1 - depth) for weight in layer.weights}
    return factors


def layer_rates(model: keras.Model, *, decay: float) -> keras.Model:
    """Wrap a text model so that `fit` moves its early layers with smaller steps.

    Args:
        model: Gives logits; a text classifier's logits model. Its own weights are trained.
        decay: As for `layer_factors`.

    Returns:
        A model to compile with Adam, AdamW or SGD, and to fit. Save the model given, not this. Another objective goes
        around it, not into it.

    Raises:
        ModelError: As `layer_factors`; on `compile`, for another optimizer.

    Example:
        >>> teaching = layer_rates(logits_model(text_classifier), decay=0.85)  # as `objective` of fine_tune_text
    """
    return _LayerRates(model, layer_factors(model, decay))


def with_layer_rates(optimizer: keras.optimizers.Optimizer, factors: Mapping[str, float]) -> keras.optimizers.Optimizer:
    """An optimizer like the one given, whose learning rate is multiplied by a factor for each weight.

    The step is scaled, not the gradient, which Adam would normalise away; decoupled weight decay shrinks with it.

    Args:
        optimizer: Adam, AdamW or SGD, not used yet; or a loss scaler around one.
        factors: By path of the weight; 1 for weights that are not named.

    Returns:
        A new optimizer, registered with Keras: it saves and loads.

    Raises:
        ModelError: For another kind of optimizer.

    Example:
        >>> type(with_layer_rates(keras.optimizers.Adam(), {"logits/kernel": 0.5})).__name__
        'LayerwiseAdam'
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):  # of mixed_float16: around the one that steps
        scaled: LayerConfig = {name: optimizer.get_config()[name] for name in _SCALING}
        return keras.optimizers.LossScaleOptimizer(with_layer_rates(optimizer.inner_optimizer, factors), **scaled)
    kind = _KINDS.get(type(optimizer))
    if kind is None:
        raise ModelError(
            f"layer-wise learning rates are made for Adam, AdamW and SGD; got {type(optimizer).__name__}",
            hint="name one of them",
        )
    return kind.from_config(optimizer.get_config() | {"factors": dict(factors)})


class _LayerRates(Objective):
    def __init__(self, inner: keras.Model, factors: dict[str, float]) -> None:
        super().__init__(inner, f"{inner.name}_layer_rates")
        self._factors = factors

    def prepared(self, optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
        return with_layer_rates(super().prepared(optimizer), self._factors)


class _Layerwise(keras.optimizers.Optimizer):
    """Mixed into an optimizer: a factor for each weight, in the step and in its decay."""

    weight_decay: float | None

    def __init__(self, *args: object, factors: Mapping[str, float] | None = None, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.factors = dict(factors or {})
        # Keras decays all weights before the step, by the whole learning rate; here each is decayed by its own.
        self._decay, self.weight_decay = self.weight_decay, None

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if not self.built:
            self._shares = [self.factors.get(variable.path, 1.0) for variable in variables]
        super().build(variables)

    def update_step(self, gradient: Tensor, variable: keras.Variable, learning_rate: Tensor) -> None:
        rate = ops.cast(learning_rate, variable.dtype) * self._shares[self._get_variable_index(variable)]
        if self._decay:
            self.assign_sub(variable, ops.convert_to_tensor(variable) * self._decay * rate)
        super().update_step(gradient, variable, rate)

    def get_config(self) -> LayerConfig:
        return {**super().get_config(), "weight_decay": self._decay, "factors": self.factors}


@keras.saving.register_keras_serializable(package="tfkit")
class LayerwiseAdam(_Layerwise, keras.optimizers.Adam):
    """Adam with a factor of its learning rate for each weight."""


@keras.saving.register_keras_serializable(package="tfkit")
class LayerwiseAdamW(_Layerwise, keras.optimizers.AdamW):
    """AdamW with a factor of its learning rate for each weight."""


@keras.saving.register_keras_serializable(package="tfkit")
class LayerwiseSGD(_Layerwise, keras.optimizers.SGD):
    """SGD with a factor of its learning rate for each weight."""


_SCALING = ("initial_scale", "dynamic_growth_steps")
_KINDS: dict[type[keras.optimizers.Optimizer], type[_Layerwise]] = {
    keras.optimizers.Adam: LayerwiseAdam,
    keras.optimizers.AdamW: LayerwiseAdamW,
    keras.optimizers.SGD: LayerwiseSGD,
}
