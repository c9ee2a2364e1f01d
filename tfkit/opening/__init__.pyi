from .heads import Task, judge_head, numbers_refused
from .inputs import GivenPixels, given_pixels, on_raw_pixels_of, refuse_other_channels, try_on
from .targets import (
    best_artifact,
    brings_labels,
    find_artifacts,
    is_keras_file,
    keras_image,
    read_labels,
    refuse_unfinished,
    run_labels,
    run_thresholds,
    takes_texts,
    targets_of_file,
)
from .texts import keras_takes_texts, keras_text, read_labelled_texts

__all__ = [
    "GivenPixels",
    "Task",
    "best_artifact",
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
    "read_labelled_texts",
    "read_labels",
    "refuse_other_channels",
    "refuse_unfinished",
    "run_labels",
    "run_thresholds",
    "takes_texts",
    "targets_of_file",
    "try_on",
]
