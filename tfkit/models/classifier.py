"""An image classifier: a backbone, pooling, and one Dense layer that is trained first."""

from dataclasses import dataclass
from typing import Literal

import keras
import numpy as np

from tfkit.arguments import fields_take_text, takes_text
from tfkit.artifacts.box_grid import BOX_NUMBERS
from tfkit.errors import ModelError
from tfkit.keras_types import Tensor
from tfkit.models.patch_transformer import has_class_token

# Where the head begins and ends; freezing, feature caching and export find their way by these names.
POOLING, LOGITS, SCORES = "pooling", "logits", "scores"
DECODER = "decoder"  # of a segmenter the first layer behind the backbone
DECODED = "decoded_maps"  # the last layer of a backbone that has a decoder of its own
# Takes the class token, where that is what the head stands on; the pooling behind it only drops an axis.
TOKEN = "class_token"

Pooling = Literal["average", "max", "token"]
_MAPS, _SEQUENCES = 4, 3


@fields_take_text
@dataclass(frozen=True)
class HeadSpec:
    """What stands behind the logits.

    Attributes:
        activation: `softmax` for one class of several, `sigmoid` for several labels, `linear` for numbers.
        means: Of numbers: what each is about; the logits are standardised and come out in the numbers' own units.
        deviations: How far each goes from there.
    """

    activation: Literal["softmax", "sigmoid", "linear"] = "softmax"
    means: tuple[float, ...] = ()
    deviations: tuple[float, ...] = ()

    def scores(self, logits: Tensor) -> Tensor:
        """The model's output from its logits, float32 (n, k)."""
        if self.activation == "softmax":
            return keras.layers.Softmax(name=SCORES, dtype="float32")(logits)
        if self.activation == "sigmoid":
            return keras.layers.Activation("sigmoid", name=SCORES, dtype="float32")(logits)
        scale, offset = list(self.deviations) or 1.0, list(self.means) or 0.0
        return keras.layers.Rescaling(scale, offset, name=SCORES, dtype="float32")(logits)


SOFTMAX = HeadSpec()


@takes_text
def build_classifier(
    backbone: keras.Model,
    *,
    classes: int,
    pooling: Pooling | None = None,
    dropout: float = 0.0,
    l2: float = 0.0,
    head: HeadSpec = SOFTMAX,
) -> keras.Model:
    """Put a classification head on a backbone.

    Args:
        backbone: From raw pixels to feature maps, or to a sequence of patches, as `build_backbone` returns it.
        classes: Number of classes, 2 or more; of labels or of numbers, 1 or more.
        pooling: How a feature map or sequence becomes a vector: `average`, `max`, or of a vision transformer `token`,
            the first row. Default: the class token where there is one, else the average.
        dropout: Share of the features dropped while training, in [0, 1).
        l2: Weight of the L2 penalty on the head's kernel.
        head: What stands behind the logits.

    Returns:
        A flat model from `pixels` to `scores`, float32 (n, classes): probabilities, or numbers.

    Raises:
        ModelError: When the backbone ends in neither maps nor a sequence, or has no class token to take.

    Example:
        >>> backbone = build_backbone("resnet8", image=ImageSpec(32, 32))
        >>> build_classifier(backbone, classes=10).output_shape
        (None, 10)
    """
    x = _pooled(backbone, pooling)
    if dropout:
        x = keras.layers.Dropout(dropout, name="head_dropout")(x)
    penalty = keras.regularizers.L2(l2) if l2 else None
    # A random kernel never quite washes out when features outnumber photos; starting from zeros, as in Big Transfer
    # (arXiv:1912.11370), leaves nothing to chance.
    x = keras.layers.Dense(classes, kernel_initializer="zeros", kernel_regularizer=penalty, name=LOGITS)(x)
    return keras.Model(backbone.inputs[0], head.scores(x), name=backbone.name)


def _pooled(backbone: keras.Model, pooling: Pooling | None) -> Tensor:
    features = backbone.outputs[0]
    rank, has_token = len(features.shape), has_class_token(backbone)
    pooling = pooling or ("token" if rank == _SEQUENCES and has_token else "average")
    if pooling == "token" and not has_token:
        raise ModelError(
            f"backbone {backbone.name} has no class token; got pooling 'token'",
            hint="set model.pooling to average or max",
        )
    if pooling == "token":
        row = keras.layers.Cropping1D((0, int(features.shape[1]) - 1), name=TOKEN)(features)
        return keras.layers.Reshape((int(features.shape[-1]),), name=POOLING)(row)
    kinds = {
        ("average", _MAPS): keras.layers.GlobalAveragePooling2D,
        ("max", _MAPS): keras.layers.GlobalMaxPooling2D,
        ("average", _SEQUENCES): keras.layers.GlobalAveragePooling1D,
        ("max", _SEQUENCES): keras.layers.GlobalMaxPooling1D,
    }
    if (pooling, rank) not in kinds:
        raise ModelError(
            f"backbone {backbone.name} ends in a tensor of shape {tuple(features.shape)}; expected feature maps "
            "(n, height, width, channels) or a sequence of patches (n, length, hidden)",
            hint="name a convolutional backbone or a vision transformer",
        )
    return kinds[pooling, rank](name=POOLING)(features)


def feature_extractor(model: keras.Model) -> keras.Model:
    """The part of a classifier up to its pooled features, sharing its weights.

    Args:
        model: A classifier of `build_classifier`.

    Returns:
        A model from the classifier's inputs to features, float32 (n, d).
    """
    return keras.Model(_inputs(model), _pooling_of(model).output, name="features")


def head_on_features(model: keras.Model) -> keras.Model:
    """The part of a classifier after its pooled features, sharing its weights; gives what `logits_model` gives.

    Args:
        model: A classifier of `build_classifier`.

    Returns:
        A model from features, float32 (n, d), to logits (n, classes), or to numbers.
    """
    pooling = _pooling_of(model)
    x = features = keras.Input(pooling.output.shape[1:], name="features")
    for layer in model.layers[model.layers.index(pooling) + 1 :]:
        x = layer(x)
        if layer.name == LOGITS and not is_of_numbers(model):
            break
    return keras.Model(features, x, name="head")


def logits_model(model: keras.Model) -> keras.Model:
    """A classifier without its softmax or sigmoid, sharing its weights: a loss on logits is exact, on scores it clips.

    Args:
        model: A classifier of `build_classifier`.

    Returns:
        A model from the classifier's inputs to logits (n, classes); of a model of numbers or boxes that model itself.

    Raises:
        ModelError: When it is no such classifier.
    """
    if SCORES not in (layer.name for layer in model.layers):
        raise ModelError(
            f"model '{model.name}' has no layer '{SCORES}' behind its logits",
            hint="name a classifier that tfkit trained: a run's folder, or its models/float.keras",
        )
    if is_of_numbers(model) or gives_boxes(model):
        return model
    # Not the output of the layer `logits`: in a quantisation-aware model the logits are rounded behind it.
    return keras.Model(_inputs(model), model.get_layer(SCORES).input, name=model.name)


def with_more_classes(model: keras.Model, classes: int) -> keras.Model:
    """A classifier that knows more classes, or labels: the new ones come last, and begin with weights of zero.

    Args:
        model: A classifier of `build_classifier` or `build_text_classifier`; its layers are shared but for the head.
        classes: How many the new one tells apart.

    Example:
        >>> with_more_classes(model, 12).output_shape
        (None, 12)
    """
    old, scores = model.get_layer(LOGITS), model.get_layer(SCORES)
    logits = keras.layers.Dense.from_config({**old.get_config(), "units": classes})
    end = type(scores).from_config(scores.get_config())(logits(old.input))
    more = [(0, classes - old.units)]
    logits.set_weights([np.pad(weight, [(0, 0)] * (weight.ndim - 1) + more) for weight in old.get_weights()])
    return keras.Model(_inputs(model), end, name=model.name)


def is_of_numbers(model: keras.Model) -> bool:
    """Whether a model of `build_classifier` gives numbers, not scores."""
    return any(layer.name == SCORES and isinstance(layer, keras.layers.Rescaling) for layer in model.layers)


def gives_boxes(model: keras.Model) -> bool:
    """Whether a model is one of `build_detector`, which learns from its answers themselves."""
    return any(layer.name == SCORES and isinstance(layer, keras.layers.Concatenate) for layer in model.layers)


def named_outputs(model: keras.Model) -> int:
    """How many classes, labels or numbers a model's last axis has names for; of a detector less its boxes' sides."""
    return int(model.output_shape[-1]) - (BOX_NUMBERS if gives_boxes(model) else 0)


def backbone_layers(model: keras.Model) -> tuple[keras.layers.Layer, ...]:
    """The layers of a classifier before its head, or of a segmenter before its decoder, in the order of the graph."""
    return tuple(model.layers[: model.layers.index(_begin_of_head(model, POOLING, DECODER))])


def _pooling_of(model: keras.Model) -> keras.layers.Layer:
    """Where a classifier's features are pooled."""
    return _begin_of_head(model, POOLING)


def _begin_of_head(model: keras.Model, *names: str) -> keras.layers.Layer:
    for layer in model.layers:
        if layer.name in names:
            return layer
    raise ModelError(
        f"model '{model.name}' has no layer '{POOLING}', behind which a classifier's head begins",
        hint="put a head on your backbone with tfkit.models.build_classifier",
    )


def _inputs(model: keras.Model) -> keras.KerasTensor | dict[str, keras.KerasTensor]:
    """A text classifier takes a dict of inputs, an image classifier one."""
    named = getattr(model, "input", None)  # a Sequential that was never called has none
    return named if isinstance(named, dict) else model.inputs[0]
