"""Train a student on what a larger teacher answers, beside the labels."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import keras
from keras import ops

from tfkit.compression.pruning import strip_pruning
from tfkit.errors import ModelError
from tfkit.graph import LayerGraph, Value, build_model, read_graph
from tfkit.keras_types import Tensor, Tensors
from tfkit.tasks import CLASSIFICATION, Task


@dataclass(frozen=True, kw_only=True)
class FeaturePair:
    """A layer of the student that learns to give what a layer of the teacher gives.

    FitNets' hints (Romero et al. 2015, https://arxiv.org/abs/1412.6550): the mean squared difference, through a
    learned 1x1 projection where the numbers of channels differ. It is divided by the mean square of the teacher's
    features, so that a weight means the same in every layer.

    Attributes:
        student: The student's layer, by its name; layers of nested models too.
        teacher: The teacher's.
        weight: What the difference counts in the loss, more than 0.
        channels: For each channel of the student's layer, in order, the teacher's channel that it is to give, as after
            channel pruning; nothing is projected then. None compares all channels.

    Example:
        >>> FeaturePair(student="logits", teacher="logits").weight
        1.0
    """

    student: str
    teacher: str
    weight: float = 1.0
    channels: tuple[int, ...] | None = None


def distiller(
    student: keras.Model,
    teacher: keras.Model,
    *,
    temperature: float = 4.0,
    alpha: float = 0.5,
    features: Sequence[FeaturePair] = (),
    task: Task = CLASSIFICATION,
) -> keras.Model:
    """Wrap a student in a model whose `fit` trains it on a teacher's answers as well as on the labels.

    Hinton et al. 2015 (https://arxiv.org/abs/1503.02531): with teacher and student logits t and s, the training loss
    is `(1 - alpha) * compiled loss + alpha * T**2 * KL(softmax(t / T) || softmax(s / T))`, plus regularisation and
    the feature pairs. The teacher sees the same augmented images, in inference mode. Validation gives the compiled
    loss alone. Sample and class weights count for the labels only.

    `keras.distillation.Distiller` (3.15) is not used: it drops regularisation losses and class weights, refuses mixed
    precision, has no projection, and its features run the student twice, in training mode in validation too.

    Args:
        student: Gives logits (n, classes); a float, quantisation-aware or pruned model. Its own weights are trained.
        teacher: A functional or sequential model from the same input to logits of the same classes. It is copied.
        temperature: T, more than 0.
        alpha: Share of the teacher's answers in the loss, 0 (labels only) to 1 (teacher only).
        features: Layers to match.
        task: What both are asked; it says how far two answers are apart.

    Returns:
        A model to compile with a loss on logits, and to fit. Save the student, not this.

    Raises:
        ModelError: Tells all faults at once: values out of range, other inputs or classes, scores in the place of
            logits, unknown layers, features that no projection can match.

    Example:
        >>> teaching = distiller(logits_model(model), logits_model(teacher), temperature=3.0)
        >>> teaching.compile("adam", keras.losses.CategoricalCrossentropy(from_logits=True))
        >>> history = teaching.fit(batches, epochs=1, verbose=0)
    """
    graphs = {"student": read_graph(student), "teacher": read_graph(teacher)}
    faults = _value_faults(temperature, alpha, features) + _model_faults(**graphs) + _feature_faults(graphs, features)
    if faults:
        raise ModelError(
            f"'{student.name}' cannot be taught by '{teacher.name}': " + "; ".join(faults),
            hint="both must give logits for the same classes from the same images",
        )
    return _Distiller(graphs["student"], read_graph(strip_pruning(teacher)), temperature, alpha, tuple(features), task)


class _Seen:
    """The student's features of the step at work: a plain object, so that Keras does not track them."""

    features: tuple[Tensor, ...] = ()


class _Distiller(keras.Model):
    def __init__(
        self,
        student: LayerGraph,
        teacher: LayerGraph,
        temperature: float,
        alpha: float,
        features: tuple[FeaturePair, ...],
        task: Task,
    ) -> None:
        super().__init__(name=f"{student.name}_distiller")
        # The student's own layers on new tensors: they are trained in place. The teacher is a copy, frozen.
        self.student = build_model(
            _with_outputs(student, [pair.student for pair in features]),
            lambda node, copy, args, kwargs: node.operation(*args, **kwargs),
        )
        self.teacher = build_model(_with_outputs(teacher, [pair.teacher for pair in features]))
        self.teacher.trainable = False
        self._temperature, self._alpha = temperature, alpha
        self._divergence = task.learned_from_labels().divergence
        self._weights_of_features = tuple(pair.weight for pair in features)
        self._seen = _Seen()
        self._channels = tuple(pair.channels for pair in features)
        outputs = zip(self.student.outputs[1:], self.teacher.outputs[1:], self._channels, strict=True)
        self.projections = [
            keras.layers.Identity() if channels is not None else _projection(own.shape, wanted.shape)
            for own, wanted, channels in outputs
        ]
        self.built = True

    def call(self, inputs: Tensors, training: bool | None = None) -> Tensor:
        logits, *features = _listed(self.student(inputs, training=training))
        self._seen.features = tuple(features)
        return logits

    def compute_loss(
        self,
        x: Tensors | None = None,
        y: Tensor | None = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        hard = super().compute_loss(x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training)
        if not training:
            return hard
        # The compiled loss comes with regularisation in it, which is to count in full.
        regularisation = sum((ops.sum(ops.cast(loss, "float32")) for loss in self.losses), start=ops.zeros(()))
        logits, *wanted = (ops.stop_gradient(tensor) for tensor in _listed(self.teacher(x, training=False)))
        soft = self._divergence(logits, y_pred, self._temperature)
        taught = self._alpha * (soft + regularisation)
        chosen = zip(wanted, self._channels, strict=True)
        wanted = [tensor if places is None else ops.take(tensor, places, axis=-1) for tensor, places in chosen]
        matched = zip(self._weights_of_features, self.projections, self._seen.features, wanted, strict=True)
        for weight, projection, own, features in matched:
            taught = taught + weight * _difference(features, projection(own))
        # Of devices that train together each gives its part, as the compiled loss does.
        return (1 - self._alpha) * ops.cast(hard, "float32") + self._aggregate_additional_loss(taught)


def _with_outputs(graph: LayerGraph, names: Sequence[str]) -> LayerGraph:
    nodes = {node.name: node for node in graph.nodes}
    return replace(graph, outputs=(graph.outputs[0], *(nodes[name].output for name in names)))


def _projection(own: Sequence[int], wanted: Sequence[int]) -> keras.Layer:
    if own[-1] == wanted[-1]:
        return keras.layers.Identity()
    projection = keras.layers.Dense(wanted[-1], use_bias=False, dtype="float32")
    projection.build(tuple(own))
    return projection


def _listed(outputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]


def _difference(wanted: Tensor, given: Tensor) -> Tensor:
    wanted, given = ops.cast(wanted, "float32"), ops.cast(given, "float32")
    return ops.mean(ops.square(wanted - given)) / (
        _of_all_devices(ops.mean(ops.square(wanted))) + keras.config.epsilon()
    )


def _of_all_devices(mean: Tensor) -> Tensor:
    """The mean over the whole batch, where several devices have an equal part of it each."""
    if keras.backend.backend() != "tensorflow":
        return mean
    import tensorflow as tf

    device = tf.distribute.get_replica_context()
    if device is None or device.num_replicas_in_sync == 1:
        return mean
    return device.all_reduce(tf.distribute.ReduceOp.MEAN, mean)


def _value_faults(temperature: float, alpha: float, features: Sequence[FeaturePair]) -> list[str]:
    faults = []
    if temperature <= 0:
        faults.append(f"temperature must be more than 0; got {temperature}")
    if not 0 <= alpha <= 1:
        faults.append(f"alpha must be in [0, 1]; got {alpha}")
    if alpha == 0 and not features:
        faults.append("alpha is 0 and no features are named, so that the teacher would teach nothing")
    faults += [f"the weight of {pair} must be more than 0" for pair in features if pair.weight <= 0]
    return faults


def _model_faults(student: LayerGraph, teacher: LayerGraph) -> list[str]:
    faults = []
    for role, graph in (("student", student), ("teacher", teacher)):
        if len(graph.outputs) != 1:
            faults.append(f"the {role} has {len(graph.outputs)} outputs, expected logits alone")
        elif _gives_scores(graph.outputs[0]):
            faults.append(f"the {role} ends in a softmax, expected logits: see tfkit.models.logits_model")
    taken = [[value.shape[1:] for value in graph.inputs] for graph in (student, teacher)]
    if taken[0] != taken[1]:
        faults.append(
            f"the student takes {_shapes(taken[0])}, the teacher {_shapes(taken[1])}"
            " (put a keras.layers.Resizing before the teacher)"
        )
    given = [graph.outputs[0].shape[1:] for graph in (student, teacher)]
    if given[0] != given[1]:
        faults.append(f"the student gives {_shapes(given[:1])} logits, the teacher {_shapes(given[1:])}")
    return faults


def _gives_scores(value: Value) -> bool:
    layer = value.node.operation if value.node else None
    if layer is None:
        return False
    return isinstance(layer, keras.layers.Softmax) or getattr(layer, "activation", None) is keras.activations.softmax


def _feature_faults(graphs: dict[str, LayerGraph], features: Sequence[FeaturePair]) -> list[str]:
    faults = []
    for pair in features:
        found: list[Value] = []
        for role, name in (("student", pair.student), ("teacher", pair.teacher)):
            nodes = {node.name: node for node in graphs[role].nodes}
            if name in nodes:
                found.append(nodes[name].output)
                continue
            near = difflib.get_close_matches(name, nodes, 1)
            faults.append(f"the {role} has no layer '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""))
        if len(found) == 2 and (len(found[0].shape) < 2 or found[0].shape[1:-1] != found[1].shape[1:-1]):
            faults.append(
                f"'{pair.student}' gives {_shapes([found[0].shape[1:]])} and '{pair.teacher}' "
                f"{_shapes([found[1].shape[1:]])}: a projection changes the last size only"
            )
        elif len(found) == 2 and pair.channels is not None:
            faults += _channel_faults(pair, own=found[0].shape[-1], wanted=found[1].shape[-1])
    return faults


def _channel_faults(pair: FeaturePair, *, own: int | None, wanted: int | None) -> list[str]:
    channels = pair.channels or ()
    if len(channels) != own:
        return [f"'{pair.student}' has {own} channels; the pair names {len(channels)} of '{pair.teacher}'"]
    if wanted is not None and not all(0 <= place < wanted for place in channels):
        return [f"'{pair.teacher}' has channels 0 to {wanted - 1}; the pair names {max(channels)}"]
    return []


def _shapes(shapes: Sequence[Sequence[int | None]]) -> str:
    return ", ".join("x".join("?" if size is None else str(size) for size in shape) or "a scalar" for shape in shapes)
