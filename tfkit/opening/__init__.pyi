from .judging import (
    GivenPixels,
    given_pixels,
    judge_head,
    numbers_refused,
    on_raw_pixels_of,
    refuse_other_channels,
    try_on,
)
from .taken import takes_histories, takes_prompts, takes_texts
from .targets import (
    brings_labels,
    find_artifacts,
    is_keras_file,
    keras_image,
    read_labels,
    refuse_unfinished,
    run_thresholds,
    targets_of_file,
)
from .texts import keras_takes_texts, keras_text, read_labelled
from .unlabelled import picture_files, read_unlabelled

__all__ = [
    "GivenPixels",
    "brings_labels",
    "find_artifacts",
    "given_pixels",
    "is_keras_file",
    "judge_head",
    "keras_image",
    "keras_takes_texts",
    "keras_text",
    "numbers_refused",
    "on_raw_pixels_of",
    "picture_files",
    "read_labelled",
    "read_labels",
    "read_unlabelled",
    "refuse_other_channels",
    "refuse_unfinished",
    "run_thresholds",
    "takes_histories",
    "takes_prompts",
    "takes_texts",
    "targets_of_file",
    "try_on",
]
