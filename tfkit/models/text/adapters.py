"""Adapters inside the blocks of a frozen encoder."""

import keras
import keras_hub

from tfkit.graph import give_weights, refuse_difference
from tfkit.keras_types import LayerConfig, Shape
from tfkit.layers import Adapter


@keras.saving.register_keras_serializable(package="tfkit")
class AdaptedTransformerEncoder(keras_hub.layers.TransformerEncoder):
    """keras-hub's `TransformerEncoder` with an adapter behind its attention and one behind its feed-forward part.

    Houlsby et al. 2019 (arXiv:1902.00751), figure 2: each adapter works on a part's result before it is added to
    what went in.

    Args:
        adapter_units: Width of the adapters' bottleneck.
        **kwargs: What `TransformerEncoder` takes.
    """

    def __init__(self, *, adapter_units: int, **kwargs: object) -> None:
        super().__init__(**kwargs)
        self.adapter_units = adapter_units

    def build(self, inputs_shape: Shape) -> None:
        super().build(inputs_shape)
        # Each part of a block ends in its dropout: the adapter drops first, then adapts. So `call` stays keras-hub's.
        for part in ("_self_attention_dropout", "_feedforward_dropout"):
            name = part.strip("_").replace("dropout", "adapter")
            adapter = Adapter(self.adapter_units, dropout=self.dropout, dtype=self.dtype_policy, name=name)
            adapter.build(inputs_shape)
            setattr(self, part, adapter)

    @property
    def adapters(self) -> tuple[Adapter, Adapter]:
        """The one behind the attention and the one behind the feed-forward part."""
        return self._self_attention_dropout, self._feedforward_dropout

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"adapter_units": self.adapter_units}


def with_adapters(model: keras.Model, *, units: int) -> keras.Model:
    """A copy of a text classifier with adapters in every `TransformerEncoder`; its outputs are the same to the bit.

    Args:
        model: A classifier of `build_text_classifier`; not changed.
        units: Width of the adapters' bottleneck.

    Returns:
        The copy, with layers of the same names.

    Example:
        >>> with_adapters(text_classifier, units=8).output_shape
        (None, 10)
    """

    def copied(layer: keras.Layer) -> keras.Layer:
        if not isinstance(layer, keras_hub.layers.TransformerEncoder):
            return layer.__class__.from_config(layer.get_config())
        return AdaptedTransformerEncoder.from_config(layer.get_config() | {"adapter_units": units})

    adapted = keras.models.clone_model(model, clone_function=copied)
    for old, new in zip(model.layers, adapted.layers, strict=True):
        # The adapters were added last, so their weights come after all the others.
        give_weights(new, old.get_weights() + new.get_weights()[len(old.weights) :])
    refuse_difference(model, adapted, what="copy with adapters")
    return adapted
