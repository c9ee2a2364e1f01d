"""Pictures: raw pixels of one size, sent as encoded files."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from tfkit.artifacts import ImageSpec, TensorSpec
from tfkit.data import Examples, ImageExamples, host_pixel_batches
from tfkit.inputs.input import FileDescription, Input, Prose, Reading, Serving, TensorDescription
from tfkit.runtimes.protocol import Feed

if TYPE_CHECKING:
    import keras
    import tensorflow as tf
    from numpy.typing import NDArray

PIXELS = "pixels"
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601
_SUFFIXES = {b"\xff\xd8": ".jpg", b"\x89P": ".png", b"BM": ".bmp", b"GI": ".gif", b"RI": ".webp"}


def _labelled(path: Path, image: ImageSpec, reading: Reading) -> ImageExamples:
    from tfkit.data.loading import load_image_examples

    return load_image_examples(
        path,
        channels=image.channels,
        class_names=reading.class_names,
        targets=reading.targets,
        progress=reading.progress,
    )


def _shown(examples: Examples, image: ImageSpec) -> np.ndarray:
    pictures = cast(ImageExamples, examples)
    return next(host_pixel_batches(pictures, image, batch_size=max(1, len(pictures))))


def _told(image: ImageSpec) -> str:
    return f"{image.width} × {image.height} {'grey' if image.channels == 1 else 'RGB'} pixels"


def _explained(image: ImageSpec) -> str:
    return (
        f"{image.height} × {image.width} × {image.channels} raw pixels, 0 to 255; preprocessing is inside the model. "
        f"Other shapes are fitted by `{image.resize}`."
    )


def _tensors(image: ImageSpec) -> tuple[TensorSpec, ...]:
    return (TensorSpec(PIXELS, (None, *image.shape), "float32"),)


def _faults(model: "keras.Model", image: ImageSpec) -> list[str]:
    fitting = (image.shape, (None, None, image.channels))
    if len(model.inputs) == 1 and tuple(model.inputs[0].shape[1:]) in fitting:
        return []
    shapes = ", ".join(str(tuple(tensor.shape)) for tensor in model.inputs)
    return [f"it takes {shapes}; expected one input of images {image.shape}"]


def _batches(examples: Examples, image: ImageSpec, batch_size: int, on_host: bool) -> Iterator[Feed]:
    """uint8 (n, height, width, channels), raw 0..255."""
    pictures = cast(ImageExamples, examples)
    if on_host or not pictures.source.is_encoded:  # quicker than making a pipeline for them
        batches = host_pixel_batches(pictures, image, batch_size=batch_size)
    else:
        from tfkit.data.pipeline import pixel_batches  # it starts TensorFlow

        batches = pixel_batches(pictures, image, batch_size=batch_size)
    yield from ({PIXELS: pixels} for pixels in batches)


def _noise(image: ImageSpec, count: int) -> Feed:
    return {PIXELS: np.random.default_rng(0).integers(0, 256, (count, *image.shape), dtype=np.uint8)}


def _serving(image: ImageSpec) -> Serving:
    import tensorflow as tf

    from tfkit.data.images import decode_image, fit_image

    def decode(encoded: "tf.Tensor") -> "tf.Tensor":
        return fit_image(decode_image(encoded, channels=image.channels), image)

    def decoded(sent: "tf.Tensor") -> "dict[str, tf.Tensor]":
        pixels = tf.map_fn(decode, sent, fn_output_signature=tf.TensorSpec(image.shape, tf.uint8))
        return {PIXELS: tf.cast(pixels, tf.float32)}

    return Serving(_tensors(image), sent="image_bytes", decoded=decoded)


def _described(image: ImageSpec) -> FileDescription:
    told = f"Pixels 0..255, {image.height} x {image.width} x {image.channels}, fitted by '{image.resize}'"
    grey = "MediaPipe Tasks and ML Kit take colour pictures only and refuse these grey files; LiteRT runs them"
    return FileDescription(
        {PIXELS: TensorDescription("image", told, image.shape)},
        beyond_mediapipe=grey if image.channels == 1 else None,
    )


def _measured(shown: "np.ndarray | Sequence[str]") -> "dict[str, NDArray[np.float32]]":
    """Brightness, contrast and saturation, 0 to 1, and sharpness: the logarithm of the Laplacian's variance."""
    pixels = np.asarray(shown, np.float32) / 255
    grey = pixels @ _LUMA if pixels.shape[-1] == 3 else pixels[..., 0]
    found = {"brightness": grey.mean((1, 2)), "contrast": grey.std((1, 2))}
    if pixels.shape[-1] == 3:
        highest, lowest = pixels.max(-1), pixels.min(-1)
        found["saturation"] = ((highest - lowest) / np.maximum(highest, 1 / 255)).mean((1, 2))
    if min(grey.shape[1:]) > 2:
        middle = grey[:, 1:-1, 1:-1]
        around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
        found["sharpness"] = np.log10((around - 4 * middle).var((1, 2)) + 1e-6)
    return found


def _sent(examples: Examples) -> list[bytes]:
    pictures = cast(ImageExamples, examples)
    return list(pictures.source.encoded(pictures.indices))


def _beside(examples: Examples, folder: Path) -> list[dict[str, str]]:
    contents = _sent(examples)
    names = [f"image_{number}{_SUFFIXES[content[:2]]}" for number, content in enumerate(contents)]
    for name, content in zip(names, contents, strict=True):
        (folder / name).write_bytes(content)
    return [{"file": name} for name in names]


IMAGES = Input(
    spec=ImageSpec,
    noun="image",
    holds="pixels",
    doubts="the range of the pixels (see --input-range), the order of the channels or the resizing",
    labelled=_labelled,
    fed_on_host=True,
    shown=_shown,
    told=_told,
    explained=_explained,
    document=asdict,
    prose=Prose(
        piece="file",
        unclear="unclear pictures",
        of_none="an image that shows",
        of_others="images of",
        made="made",
        show="show",
        tell_of="show",
        people="in them",
        depends_on="camera, light, place, season, background, or, where images show people, on who they are.",
        alike="Pictures of one object or one scene may lie in both\n"
        "training and evaluation without being the same file.",
    ),
    tensors=_tensors,
    faults=_faults,
    batches=_batches,
    noise=_noise,
    serving=_serving,
    described=_described,
    measured=_measured,
    sent=_sent,
    beside=_beside,
    ranges={PIXELS: (0.0, 255.0)},
)
