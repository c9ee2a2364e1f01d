"""Values that describe exported models, and the folder a run writes."""

from tfkit.artifacts.artifact import (
    OUTSIDE,
    Artifact,
    InputSpec,
    TaskName,
    compressed_bytes,
)
from tfkit.artifacts.check_sums import refuse_changed_files
from tfkit.artifacts.format import (
    FORMAT_NAMES,
    FORMATS,
    INTEGER,
    ArtifactFormat,
    Format,
    Quantization,
    format_label,
    format_named,
)
from tfkit.artifacts.image_spec import ImageSpec, ResizeMode
from tfkit.artifacts.layer_difference import LayerDifference
from tfkit.artifacts.manifest import LABELS_NAME, labels_file, labels_of_file, read_manifest, write_manifest
from tfkit.artifacts.pixel_scaling import (
    CAFFE,
    IMAGENET,
    RAW,
    SYMMETRIC,
    UNIT,
    USUAL_SCALINGS,
    ChannelOrder,
    PixelScaling,
    checked_scaling,
)
from tfkit.artifacts.run_directory import RunDirectory, create_run_directory, refuse_existing_run, running_process
from tfkit.artifacts.signature import ModelSignature, TensorSpec
from tfkit.artifacts.text_spec import TextSpec

__all__ = [
    "CAFFE",
    "FORMATS",
    "FORMAT_NAMES",
    "IMAGENET",
    "INTEGER",
    "LABELS_NAME",
    "OUTSIDE",
    "RAW",
    "SYMMETRIC",
    "UNIT",
    "USUAL_SCALINGS",
    "Artifact",
    "ArtifactFormat",
    "ChannelOrder",
    "Format",
    "ImageSpec",
    "InputSpec",
    "LayerDifference",
    "ModelSignature",
    "PixelScaling",
    "Quantization",
    "ResizeMode",
    "RunDirectory",
    "TaskName",
    "TensorSpec",
    "TextSpec",
    "checked_scaling",
    "compressed_bytes",
    "create_run_directory",
    "format_label",
    "format_named",
    "labels_file",
    "labels_of_file",
    "read_manifest",
    "refuse_changed_files",
    "refuse_existing_run",
    "running_process",
    "write_manifest",
]
