"""Layers of text encoders that keras-hub lacks, or that it cannot load again."""

from typing import Unpack

import keras
from keras import ops

from tfkit.keras_types import LayerConfig, LayerOptions, Shape, Tensor


@keras.saving.register_keras_serializable(package="tfkit")
class Adapter(keras.layers.Layer):
    """A small bottleneck with a shortcut around it, to be trained inside a frozen encoder.

    Houlsby et al. 2019 (arXiv:1902.00751): down to a few units, a nonlinearity, up again, added to what came in. The
    way up starts from zeros, so that a new adapter changes nothing, to the bit.

    Args:
        units: Width of the bottleneck.
        dropout: Share of the incoming values dropped while training, before the adapter.
        **kwargs: As for every Keras layer.

    Attributes:
        down: The Dense layer into the bottleneck, with GELU.
        up: The Dense layer out of it.
        dropout: The dropout before both.

    Example:
        >>> Adapter(4)(np.ones((1, 3, 8), np.float32)).shape.as_list()
        [1, 3, 8]
    """

    def __init__(self, units: int, *, dropout: float = 0.0, **kwargs: Unpack[LayerOptions]) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy, name="dropout")
        narrow = keras.initializers.TruncatedNormal(stddev=0.01)  # the paper's
        self.down = keras.layers.Dense(
            units, activation="gelu", kernel_initializer=narrow, dtype=self.dtype_policy, name="down"
        )
        self.up: keras.layers.Dense | None = None  # `build` makes it: its width is the input's

    def build(self, input_shape: Shape) -> None:
        self.down.build(input_shape)
        self.up = keras.layers.Dense(input_shape[-1], kernel_initializer="zeros", dtype=self.dtype_policy, name="up")
        self.up.build((*input_shape[:-1], self.units))

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        assert self.up is not None  # Keras builds before it calls
        inputs = self.dropout(inputs, training=training)
        return inputs + self.up(self.down(inputs))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape)

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {"units": self.units, "dropout": self.dropout.rate}


@keras.saving.register_keras_serializable(package="tfkit")
class RelativePositions(keras.layers.Layer):
    """DeBERTa's table of relative positions, normalised: (batch, 2 * bucket_size, hidden_dim).

    keras-hub 0.32's `RelativeEmbedding` computes the same from the same weights, but does not build its
    normalisation in `build`, so that a flat model with it saves and does not load again.

    Args:
        hidden_dim: Width of the encoder.
        bucket_size: Half the number of relative positions.
        layer_norm_epsilon: Added to the variance.
        kernel_initializer: Of the table.
        **kwargs: As for every Keras layer.
    """

    def __init__(
        self,
        hidden_dim: int,
        bucket_size: int,
        layer_norm_epsilon: float = 1e-5,
        kernel_initializer: str | LayerConfig | keras.initializers.Initializer = "glorot_uniform",
        **kwargs: Unpack[LayerOptions],
    ) -> None:
        super().__init__(**kwargs)
        self.hidden_dim, self.bucket_size = hidden_dim, bucket_size
        self.layer_norm_epsilon = layer_norm_epsilon
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.layer_norm = keras.layers.LayerNormalization(
            epsilon=layer_norm_epsilon, dtype=self.dtype_policy, name="rel_embeddings_layer_norm"
        )

    def build(self, input_shape: Shape) -> None:
        shape = (2 * self.bucket_size, self.hidden_dim)
        self.rel_embeddings = self.add_weight(shape=shape, initializer=self.kernel_initializer, name="rel_embedding")
        self.layer_norm.build((None, *shape))

    def call(self, inputs: Tensor) -> Tensor:
        table = self.layer_norm(ops.expand_dims(ops.convert_to_tensor(self.rel_embeddings), 0))
        return ops.repeat(table, ops.shape(inputs)[0], axis=0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (input_shape[0], 2 * self.bucket_size, self.hidden_dim)

    def get_config(self) -> LayerConfig:
        config: LayerConfig = super().get_config()
        return config | {
            "hidden_dim": self.hidden_dim,
            "bucket_size": self.bucket_size,
            "layer_norm_epsilon": self.layer_norm_epsilon,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
