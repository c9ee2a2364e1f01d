"""Labelled images: reading, checking, splitting, preprocessing (shared with serving), augmentation, batches."""

from tfkit.data.augmentation import AugmentationPolicy, augment_batch
from tfkit.data.calibration import calibration_pixels
from tfkit.data.checking import ImageDecoder
from tfkit.data.examples import DataReport, DatasetSplits, ImageExamples, LeftOut
from tfkit.data.images import IMAGE_SUFFIXES, decode_image, fit_image
from tfkit.data.inputs import Examples, encoded_inputs, input_batches
from tfkit.data.loading import SourceName, load_image_examples, load_image_splits
from tfkit.data.mixing import Mixing, mix_batch
from tfkit.data.pipeline import evaluation_batches, pixel_batches, training_batches
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
    "encoded_inputs",
    "evaluation_batches",
    "fit_image",
    "input_batches",
    "load_image_examples",
    "load_image_splits",
    "mix_batch",
    "pixel_batches",
    "training_batches",
]
