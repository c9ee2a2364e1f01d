"""Export a Keras image classifier as a SavedModel that takes encoded images."""

from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfkit.artifacts import Artifact, ImageSpec, ModelSignature, TensorSpec
from tfkit.data.images import decode_image, fit_image
from tfkit.exporters.destination import finished_model
from tfkit.exporters.float_model import exportable_model
from tfkit.runtimes import held_native_output


def export_saved_model(model: Any, directory: Path, *, image: ImageSpec, class_names: tuple[str, ...]) -> Artifact:
    """Write `directory/1`, a SavedModel that a server can take as it is.

    - `serving_default`: `image_bytes` string (n,), encoded images of any size -> `labels` string (n,), the most
      likely class, and `scores` float32 (n, classes). Decoding, orientation and resizing are the code that
      training used, inside the model.
    - `predict`: `pixels` float32 (n, height, width, channels), raw 0..255 -> the same outputs.

    Args:
        model: A built `keras.Model`, float32 (n, height, width, channels) raw pixels 0..255 in, (n, classes) out.
        directory: The folder above the version folder `1`; the version folder must not exist.
        image: The images it takes.
        class_names: Its labels, in the order of the scores.

    Returns:
        The artifact; its path is the version folder.

    Raises:
        ExportError: When the model does not fit, or the folder exists.
        RunError: When the folder cannot be written.

    Example:
        >>> export_saved_model(model, Path("saved_model"), image=image, class_names=("ants", "bees"))  # doctest: +SKIP
    """
    model = exportable_model(model, image=image, class_names=class_names)
    path = directory / "1"
    with finished_model(path) as unfinished, held_native_output():
        _archive(model, image, class_names).write_out(unfinished, verbose=False)
    return Artifact(
        path=path,
        format="saved_model",
        quantization="none",
        signature=_signature(class_names),
        image=image,
        class_names=class_names,
        made_by=f"ExportArchive of Keras {metadata.version('keras')}, TensorFlow {metadata.version('tensorflow')}",
    )


def _archive(model: Any, image: ImageSpec, class_names: tuple[str, ...]) -> Any:
    labels = tf.constant(class_names)

    def classify(pixels: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = model(pixels, training=False)
        return {"labels": tf.gather(labels, tf.argmax(scores, axis=-1)), "scores": scores}

    def decode(encoded: tf.Tensor) -> tf.Tensor:
        return fit_image(decode_image(encoded, channels=image.channels), image)

    def serve(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        pixels = tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec(image.shape, tf.uint8))
        return classify(tf.cast(pixels, tf.float32))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve, [tf.TensorSpec((None,), tf.string, name="image_bytes")])
    archive.add_endpoint("predict", classify, [tf.TensorSpec((None, *image.shape), tf.float32, name="pixels")])
    return archive


def _signature(class_names: tuple[str, ...]) -> ModelSignature:
    return ModelSignature(
        inputs=(TensorSpec(name="image_bytes", shape=(None,), dtype="string"),),
        outputs=(
            TensorSpec(name="labels", shape=(None,), dtype="string"),
            TensorSpec(name="scores", shape=(None, len(class_names)), dtype="float32"),
        ),
    )
