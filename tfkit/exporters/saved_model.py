"""Export a Keras classifier as a SavedModel that takes what clients send: encoded images, or texts."""

from importlib import metadata
from pathlib import Path

import keras
import tensorflow as tf

from tfkit.arguments import takes_text
from tfkit.artifacts import Artifact, InputSpec, ModelSignature, TaskName, TensorSpec
from tfkit.errors import ExportError
from tfkit.exporters.destination import finished_model
from tfkit.exporters.float_model import exportable_model, task_of_model
from tfkit.graph import fed
from tfkit.inputs import Serving, input_of
from tfkit.keras_types import Shape
from tfkit.runtimes import held_native_output
from tfkit.tasks import task_named


@takes_text
def export_saved_model(
    model: keras.Model,
    directory: Path,
    *,
    spec: InputSpec,
    class_names: tuple[str, ...],
    task: TaskName = "classification",
    thresholds: tuple[float, ...] = (),
) -> Artifact:
    """Write `directory/1`, a SavedModel that a server can take as it is.

    - `serving_default`: `image_bytes` string (n,), encoded images of any size, or `texts` string (n,), UTF-8 ->
      `labels` string (n,), the most likely class, and `scores` float32 (n, classes). Decoding, orientation and
      resizing, or tokenising, are the code that training used, inside the model. An embedder of texts gives
      `embeddings` float32 (n, d) instead, a model of numbers `values` float32 (n, k); a model of several labels
      `labels` string (n, classes), the name of each that reaches its threshold and nothing in the place of the others;
      a segmenter `classes` int32 (n, height, width), the most likely class of each pixel, and `scores` for each pixel.
    - `predict`: `pixels` float32 (n, height, width, channels), raw 0..255, or `token_ids` and `padding_mask` int32
      (n, length) -> the same outputs.

    Args:
        model: A built `keras.Model`: float32 (n, height, width, channels) raw pixels 0..255 in, or a dict of int32
            `token_ids` and `padding_mask`; (n, classes) out.
        directory: The folder above the version folder `1`; the version folder must not exist.
        spec: The images or texts it takes.
        class_names: Its labels, in the order of the scores; none for an embedder.
        task: What is asked of the model; `embedding` of an embedder.
        thresholds: As for `Artifact`.

    Returns:
        The artifact; its path is the version folder.

    Raises:
        ExportError: When the model does not fit, has one class, or the folder exists.
        RunError: When the folder cannot be written.

    Example:
        >>> artifact = export_saved_model(model, Path("ants_or_bees"), spec=image, class_names=("ants", "bees"))
    """
    model, task = exportable_model(model, spec=spec, class_names=class_names), task_of_model(model, task)
    if len(class_names) == 1 and task == "classification":
        raise ExportError(
            f"model '{model.name}' cannot be exported: it gives one score, so that every answer would be "
            f"'{class_names[0]}'",
            hint="one unit that stands for two classes gets a score for each by with_two_scores",
        )
    path, serving = directory / "1", input_of(spec).serving(spec)
    with finished_model(path) as unfinished, held_native_output():
        _archive(model, serving, class_names, task, thresholds).write_out(unfinished, verbose=False)
    return Artifact(
        path=path,
        format="saved_model",
        quantization="none",
        signature=_signature(serving, class_names, task, thresholds, scored=model.output_shape[1:]),
        input=spec,
        class_names=class_names,
        task=task,
        thresholds=thresholds,
        made_by=f"ExportArchive of Keras {metadata.version('keras')}, TensorFlow {metadata.version('tensorflow')}",
    )


def _archive(
    model: keras.Model, serving: Serving, class_names: tuple[str, ...], task: TaskName, thresholds: tuple[float, ...]
) -> keras.export.ExportArchive:
    def answers(feed: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return task_named(task).serve(model(fed(model, feed), training=False), class_names, thresholds)

    def predict(*given: tf.Tensor) -> dict[str, tf.Tensor]:
        return answers({tensor.name: values for tensor, values in zip(serving.tensors, given, strict=True)})

    archive = keras.export.ExportArchive()
    archive.track(model)
    for table in serving.tables:
        archive.track(table)
    numbers = [tf.TensorSpec(tensor.shape, tensor.dtype, name=tensor.name) for tensor in serving.tensors]
    if (decoded := serving.decoded) is None:
        archive.add_endpoint("serving_default", predict, numbers)
        return archive

    def serve(sent: tf.Tensor) -> dict[str, tf.Tensor]:
        return answers(decoded(sent))

    archive.add_endpoint("serving_default", serve, [tf.TensorSpec((None,), tf.string, name=serving.sent)])
    archive.add_endpoint("predict", predict, numbers)
    return archive


def _signature(
    serving: Serving, class_names: tuple[str, ...], task: TaskName, thresholds: tuple[float, ...], *, scored: Shape
) -> ModelSignature:
    answers = tf.function(lambda scores: task_named(task).serve(scores, class_names, thresholds))
    outputs = answers.get_concrete_function(tf.TensorSpec((None, *scored), tf.float32)).structured_outputs
    sent = (TensorSpec(name=serving.sent, shape=(None,), dtype="string"),)
    return ModelSignature(
        serving.tensors if serving.decoded is None else sent,
        tuple(TensorSpec(key, tuple(one.shape.as_list()), one.dtype.name) for key, one in outputs.items()),
    )
