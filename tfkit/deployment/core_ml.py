"""The run's float Keras model as a Core ML package, by coremltools. Nobody has run it: only macOS and iOS can."""

from pathlib import Path
from typing import Any

from tfkit.artifacts import Artifact, ImageSpec, RunDirectory
from tfkit.errors import ExportError
from tfkit.models import load_model_file

CORE_ML_NOT_CHECKED = (
    "no Apple device has run the Core ML package: it was made of models/float.keras, before any compression, and only "
    "macOS and iOS can run it"
)
_INSTALL = "pip install 'tfkit[coreml]'"


def write_core_ml(folder: Path, run: RunDirectory, served: Artifact, *, name: str) -> Path:
    """Write `ios/NAME.mlpackage`: a picture in, scores out, in float32, for iOS 16 and later.

    Args:
        folder: The bundle's folder.
        run: The run.
        served: The file that the bundle is made of.
        name: What the model is called.

    Returns:
        The package, a folder.

    Raises:
        ExportError: Without coremltools, for a model of texts, or when coremltools cannot convert the model.
    """
    if not isinstance(served.input, ImageSpec):
        raise ExportError("a Core ML package is made of models of pictures alone", hint="leave --core-ml out")
    try:
        import coremltools
    except ImportError:
        raise ExportError("--core-ml needs Apple's coremltools", hint=_INSTALL) from None
    image, colours = served.input, coremltools.colorlayout
    layout = colours.GRAYSCALE if image.channels == 1 else colours.RGB
    run.vouches_for(run.float_model)
    graph = _one_graph(run.float_model, image)
    try:
        converted = coremltools.convert(
            [graph],
            source="tensorflow",
            inputs=[coremltools.ImageType(name="pixels", shape=(1, *image.shape), color_layout=layout)],
            compute_precision=coremltools.precision.FLOAT32,
            minimum_deployment_target=coremltools.target.iOS16,
        )
    except Exception as fault:  # whatever its converter stumbles over
        raise ExportError(
            f"coremltools cannot convert '{run.float_model}': {fault}", hint="leave --core-ml out"
        ) from None
    path = folder / "ios" / f"{name}.mlpackage"
    path.parent.mkdir(exist_ok=True)
    converted.save(str(path))
    return path


def _one_graph(model: Path, image: ImageSpec) -> Any:
    """The model as one function whose weights are constants, which is what coremltools reads of Keras 3."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    network = load_model_file(model)
    function = tf.function(lambda pixels: network(pixels, training=False))
    traced = function.get_concrete_function(tf.TensorSpec((1, *image.shape), tf.float32, name="pixels"))
    return convert_variables_to_constants_v2(traced)
