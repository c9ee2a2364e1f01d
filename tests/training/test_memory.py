"""A batch that the memory cannot hold is refused before training, with one that fits."""

import re

import keras
import pytest
from keras import layers

from tfkit.cli.main import main
from tfkit.errors import TrainingError
from tfkit.training import StepMemory, free_memory, may_not_fit, refuse_too_large_batches

GIB = 2**30


def wide_model(size: int = 64) -> keras.Model:
    inputs = keras.Input((size, size, 3))
    outputs = inputs
    for _ in range(6):
        outputs = layers.Conv2D(32, 3, padding="same", activation="relu")(outputs)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling2D()(outputs)))


def test_a_usual_step_is_not_tried_and_a_huge_one_is() -> None:
    model = wide_model()
    assert free_memory() > 0
    assert not may_not_fit(model, 8)
    assert may_not_fit(model, 1 << 24)
    assert not may_not_fit(model, 8, free=8 * GIB) and may_not_fit(model, 8, free=GIB // 64)


def test_a_text_as_long_as_it_may_be_is_what_counts() -> None:
    tokens = keras.Input((None,), dtype="int32")
    model = keras.Model(tokens, layers.Dense(2)(layers.Embedding(100, 64)(tokens)))
    assert not may_not_fit(model, 64, length=16, free=GIB // 16) and may_not_fit(model, 64, length=4096, free=GIB // 16)


def test_what_fits_is_what_is_left_beside_the_weights() -> None:
    step = StepMemory(fixed=10, each=3)
    assert [step.largest_batch(free) for free in (9, 12, 13, 22)] == [0, 0, 1, 4]
    assert step.of_batch(4) == 22


@pytest.mark.slow
def test_the_batch_that_fits_is_named() -> None:
    model = wide_model()
    with pytest.raises(TrainingError, match=r"a training step of 8192 images takes about [\d.]+ GiB") as told:
        refuse_too_large_batches(model, 8192, free=4 * GIB)
    largest = int(re.match(r"data.batch_size=(\d+) fits", told.value.hint)[1])
    assert 100 < largest < 2000  # 6 layers' outputs of .5 MiB each, the same for their gradients at the most


@pytest.mark.slow
def test_a_recipe_whose_batch_cannot_fit_is_refused_by_check(capsys: pytest.CaptureFixture[str]) -> None:
    huge = ["data.image_size=1024", "data.batch_size=512", "data.labels_per_class=null"]
    assert main(["check", "digits_base", *huge]) == 1
    told = capsys.readouterr().err
    assert "a training step of" in told and "data.batch_size=" in told and "unexpected" not in told
