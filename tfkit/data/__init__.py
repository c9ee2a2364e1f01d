"""Labelled images: reading, checking, splitting, preprocessing (shared with serving), augmentation, batches.

What is named here is loaded when it is first asked for: half of it starts TensorFlow, which a command that shows one
picture to a `.tflite` file can do without.
"""

from typing import TYPE_CHECKING

from tfkit.on_demand import names_on_demand

if TYPE_CHECKING:
    from tfkit.data.augmentation import AugmentationPolicy, augment_batch
    from tfkit.data.calibration import calibration_pixels
    from tfkit.data.decoder import ImageDecoder, picture_pixels
    from tfkit.data.examples import DataReport, DatasetSplits, Examples, ImageExamples, LeftOut
    from tfkit.data.host_images import decode_on_host, fit_on_host
    from tfkit.data.images import decode_image, fit_image
    from tfkit.data.inputs import encoded_inputs, host_pixel_batches, input_batches
    from tfkit.data.loading import SourceName, load_image_examples, load_image_splits
    from tfkit.data.mixing import Mixing, mix_batch
    from tfkit.data.pipeline import evaluation_batches, pixel_batches, some_views, training_batches
    from tfkit.data.reading import IMAGE_SUFFIXES
    from tfkit.data.sources import ArraySource, FileSource, ImageSource

__all__ = [
    "IMAGE_SUFFIXES",
    "ArraySource",
    "AugmentationPolicy",
    "DataReport",
    "DatasetSplits",
    "Examples",
    "FileSource",
    "ImageDecoder",
    "ImageExamples",
    "ImageSource",
    "LeftOut",
    "Mixing",
    "SourceName",
    "augment_batch",
    "calibration_pixels",
    "decode_image",
    "decode_on_host",
    "encoded_inputs",
    "evaluation_batches",
    "fit_image",
    "fit_on_host",
    "host_pixel_batches",
    "input_batches",
    "load_image_examples",
    "load_image_splits",
    "mix_batch",
    "picture_pixels",
    "pixel_batches",
    "some_views",
    "training_batches",
]

if not TYPE_CHECKING:  # checkers of types know the names from above
    __getattr__ = names_on_demand(
        __name__,
        {
            "augmentation": "AugmentationPolicy augment_batch",
            "calibration": "calibration_pixels",
            "examples": "DataReport DatasetSplits Examples ImageExamples LeftOut",
            "decoder": "ImageDecoder picture_pixels",
            "host_images": "decode_on_host fit_on_host",
            "images": "decode_image fit_image",
            "inputs": "encoded_inputs host_pixel_batches input_batches",
            "loading": "SourceName load_image_examples load_image_splits",
            "mixing": "Mixing mix_batch",
            "pipeline": "evaluation_batches pixel_batches some_views training_batches",
            "reading": "IMAGE_SUFFIXES",
            "sources": "ArraySource FileSource ImageSource",
        },
    )
