from .augmentation import AugmentationPolicy, Mixing, augment_batch, mix_batch
from .decoder import ImageDecoder, picture_pixels
from .examples import DataReport, DatasetSplits, Examples, ImageExamples, LeftOut, host_pixel_batches
from .host_images import decode_on_host, fit_on_host
from .image_files import IMAGE_SUFFIXES
from .images import decode_image, fit_image
from .keeping import keep_pixels
from .loading import SourceName, load_image_examples, load_image_splits
from .pipeline import calibration_pixels, evaluation_batches, pixel_batches, some_views, training_batches
from .sampled_test import with_sampled_test
from .sources import ArraySource, FileSource, ImageSource

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
    "evaluation_batches",
    "fit_image",
    "fit_on_host",
    "host_pixel_batches",
    "keep_pixels",
    "load_image_examples",
    "load_image_splits",
    "mix_batch",
    "picture_pixels",
    "pixel_batches",
    "some_views",
    "training_batches",
    "with_sampled_test",
]
