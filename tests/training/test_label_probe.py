"""Labels that are likely wrong: most of those that were made wrong are found, and hardly any other."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

from tfkit.artifacts import ImageSpec
from tfkit.data import ArraySource, ImageExamples
from tfkit.models import build_backbone, build_classifier
from tfkit.training import Optimization, find_suspicious_labels, train_head
from tfkit.training.label_probe import FEWEST, FOLDS, stratified_folds

PIXELS, DIGITS = load_digits(return_X_y=True)
VALUES, LABELS = (PIXELS / 16).astype(np.float32), DIGITS.astype(np.int32)
NAMES, TOLD = tuple("0123456789"), tuple(f"digit[{row}]" for row in range(len(LABELS)))


def test_wrong_labels_are_found_and_hardly_others() -> None:
    draw = np.random.default_rng(7)
    wrong = draw.choice(len(LABELS), 90, replace=False)
    given = LABELS.copy()
    given[wrong] = (given[wrong] + draw.integers(1, 10, 90)) % 10
    looked = find_suspicious_labels(VALUES, given, NAMES, TOLD)
    found = looked.found
    right = [one for one in found if one.position in set(wrong)]
    assert len(right) / len(found) >= 0.8 and len(right) / 90 >= 0.7
    assert np.mean([one.likely == NAMES[LABELS[one.position]] for one in right]) > 0.9
    assert all(one.given == NAMES[given[one.position]] and one.name == TOLD[one.position] for one in found)
    assert 0.85 < looked.agreement < 0.95
    margins = [one.given_score - one.likely_score for one in found]
    assert margins == sorted(margins)
    assert found == find_suspicious_labels(VALUES, given, NAMES, TOLD).found


def test_of_right_labels_few_are_suspicious() -> None:
    looked = find_suspicious_labels(VALUES, LABELS, NAMES, TOLD)
    assert looked.examples == len(LABELS) and len(looked.found) < 0.01 * len(LABELS)


def test_classes_of_few_examples_are_not_judged() -> None:
    chosen = np.flatnonzero((LABELS < 2) | (np.cumsum(LABELS == 9) < FEWEST) & (LABELS == 9))
    looked = find_suspicious_labels(VALUES[chosen], LABELS[chosen], NAMES, tuple(TOLD[row] for row in chosen))
    assert looked.not_judged == ("9",) and looked.examples == np.count_nonzero(LABELS < 2)
    assert not [one for one in looked.found if one.given == "9"]
    few_each = np.concatenate([np.flatnonzero(number == LABELS)[:10] for number in range(10)])
    few = find_suspicious_labels(VALUES[few_each], LABELS[few_each], NAMES, tuple(TOLD[row] for row in few_each))
    assert few.examples == 0 and not few.found and few.not_judged == NAMES


def test_nothing_is_listed_when_the_features_tell_nothing() -> None:
    noise = np.random.default_rng(1).normal(size=VALUES.shape).astype(np.float32)
    looked = find_suspicious_labels(noise, LABELS, NAMES, TOLD)
    assert looked.cannot_tell and not looked.found and looked.examples == len(LABELS)


def test_folds_hold_an_even_share_of_each_class() -> None:
    folds = stratified_folds(LABELS, seed=3)
    counts = np.array([[np.sum((folds == fold) & (number == LABELS)) for number in range(10)] for fold in range(FOLDS)])
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()


@pytest.mark.parametrize(("validation", "views"), [(True, 1), (False, 2)])
def test_a_head_tells_them_by_their_place_in_the_training_split(validation: bool, views: int) -> None:
    pixels = np.zeros((80, 16, 16, 3), np.uint8)
    pixels[40:] = 200
    pixels += np.random.default_rng(0).integers(0, 40, pixels.shape, np.uint8)
    labels = np.repeat([0, 1], 40).astype(np.int32)
    labels[[5, 61]] = [1, 0]
    source = ArraySource(pixels, channels=3)
    train = ImageExamples(source, np.arange(80), labels, tuple(f"{row}.png" for row in range(80)), ("dark", "light"))
    image = ImageSpec(16, 16)
    model = build_classifier(build_backbone("resnet8", image=image, weights="random"), classes=2)
    result = train_head(
        model,
        train,
        train.select(np.r_[0:4, 76:80] if validation else np.arange(0)),
        image,
        optimization=Optimization(epochs=1, learning_rate=1e-2),
        solver="lbfgs",
        cached_views=views,
        suspicious_labels=True,
    )
    assert result.suspicious_labels is not None
    found = {(one.position, one.name, one.likely) for one in result.suspicious_labels.found}
    assert found >= {(5, "5.png", "dark"), (61, "61.png", "light")} and len(found) <= 4
