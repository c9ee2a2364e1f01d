"""Export a Keras classifier as a SavedModel that takes what clients send: encoded images, or texts."""

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import keras
import tensorflow as tf

from tfkit.artifacts import Artifact, ImageSpec, InputSpec, ModelSignature, TaskName, TensorSpec, TextSpec
from tfkit.data.images import decode_image, fit_image
from tfkit.errors import ExportError
from tfkit.exporters.destination import finished_model
from tfkit.exporters.float_model import exportable_model, task_of_model
from tfkit.runtimes import held_native_output
from tfkit.tasks import task_named

Classify = Callable[[tf.Tensor | dict[str, tf.Tensor]], dict[str, tf.Tensor]]


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
      `labels` string (n, classes), the name of each that reaches its threshold and nothing in the place of the others.
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
    path = directory / "1"
    with finished_model(path) as unfinished, held_native_output():
        _archive(model, spec, class_names, task, thresholds).write_out(unfinished, verbose=False)
    return Artifact(
        path=path,
        format="saved_model",
        quantization="none",
        signature=_signature(spec, class_names, task, thresholds, width=model.output_shape[-1]),
        input=spec,
        class_names=class_names,
        task=task,
        thresholds=thresholds,
        made_by=f"ExportArchive of Keras {metadata.version('keras')}, TensorFlow {metadata.version('tensorflow')}",
    )


def _archive(
    model: keras.Model, spec: InputSpec, class_names: tuple[str, ...], task: TaskName, thresholds: tuple[float, ...]
) -> keras.export.ExportArchive:
    def classify(inputs: tf.Tensor | dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return task_named(task).serve(model(inputs, training=False), class_names, thresholds)

    archive = keras.export.ExportArchive()
    archive.track(model)
    if isinstance(spec, ImageSpec):
        _add_image_endpoints(archive, classify, spec)
    else:
        _add_text_endpoints(archive, classify, spec)
    return archive


def _add_image_endpoints(archive: keras.export.ExportArchive, classify: Classify, image: ImageSpec) -> None:
    def decode(encoded: tf.Tensor) -> tf.Tensor:
        return fit_image(decode_image(encoded, channels=image.channels), image)

    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec(image.shape, tf.uint8))
        return classify(tf.cast(pixels, tf.float32))

    archive.add_endpoint("serving_default", serve, [tf.TensorSpec((None,), tf.string, name="image_bytes")])
    archive.add_endpoint("predict", classify, [tf.TensorSpec((None, *image.shape), tf.float32, name="pixels")])


def _add_text_endpoints(archive: keras.export.ExportArchive, classify: Classify, text: TextSpec) -> None:
    from tfkit.data.text import open_tokenizer  # keras-hub takes seconds to import: only where there are texts

    tokenizer = open_tokenizer(text.tokenizer)
    archive.track(tokenizer.layer)  # its lookup tables

    def serve(texts: tf.Tensor) -> dict[str, tf.Tensor]:
        return classify(tokenizer.in_graph(texts, sequence_length=text.sequence_length))

    def predict(token_ids: tf.Tensor, padding_mask: tf.Tensor) -> dict[str, tf.Tensor]:
        return classify({"token_ids": token_ids, "padding_mask": padding_mask})

    tokens = [tf.TensorSpec((None, None), tf.int32, name=name) for name in ("token_ids", "padding_mask")]
    archive.add_endpoint("serving_default", serve, [tf.TensorSpec((None,), tf.string, name="texts")])
    archive.add_endpoint("predict", predict, tokens)


def _signature(
    spec: InputSpec, class_names: tuple[str, ...], task: TaskName, thresholds: tuple[float, ...], *, width: int
) -> ModelSignature:
    name = "image_bytes" if isinstance(spec, ImageSpec) else "texts"
    answers = tf.function(lambda scores: task_named(task).serve(scores, class_names, thresholds))
    outputs = answers.get_concrete_function(tf.TensorSpec((None, width), tf.float32)).structured_outputs
    return ModelSignature(
        (TensorSpec(name=name, shape=(None,), dtype="string"),),
        tuple(TensorSpec(key, tuple(one.shape.as_list()), one.dtype.name) for key, one in outputs.items()),
    )
