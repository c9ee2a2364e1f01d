"""Distillation: the student learns what the teacher answers, the teacher stays as it was, faults come first."""

import dataclasses

import keras
import numpy as np
import pytest

from tfkit.compression import quantize_aware
from tfkit.compression.channels import kept_feature_maps, plan_channel_pruning, prune_channels
from tfkit.compression.distillation import FeaturePair, distiller
from tfkit.compression.pruning import ConstantSparsity, PruneWeights, prunable, sparsity
from tfkit.errors import ModelError
from tfkit.graph import read_graph
from tfkit.models import build_backbone, build_classifier, with_dtype_policy

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(-1, 1, size=(128, 8, 8, 3)).astype(np.float32)
LABELS = keras.utils.to_categorical(IMAGES.mean(axis=(1, 2, 3)) > 0, 3)
LOSS = keras.losses.CategoricalCrossentropy(from_logits=True)


def network(
    width: int, *, seed: int, classes: int = 3, size: int = 8, last: str | None = None, l2: float = 0.0
) -> keras.Model:
    """A convolution, BatchNorm and dropout nested in a classifier."""
    keras.utils.set_random_seed(seed)
    inner = [
        keras.layers.Conv2D(width, 3, strides=2, name="conv"),
        keras.layers.BatchNormalization(),
        keras.layers.ReLU(name="maps"),
    ]
    backbone = keras.Sequential([keras.Input((size, size, 3)), *inner], name="backbone")
    pixels = keras.Input((size, size, 3))
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D(name="pooled")(backbone(pixels)))
    penalty = keras.regularizers.L2(l2) if l2 else None
    logits = keras.layers.Dense(classes, activation=last, kernel_regularizer=penalty, name="logits")(x)
    return keras.Model(pixels, logits, name=f"network{width}")


def train(model: keras.Model, *callbacks, epochs: int = 2, optimizer=None, jit: bool = False, **options):
    model.compile(optimizer or keras.optimizers.Adam(3e-2), loss=LOSS, metrics=["accuracy"], jit_compile=jit)
    options |= {"batch_size": 32, "epochs": epochs, "verbose": 0, "callbacks": list(callbacks)}
    return model.fit(IMAGES, LABELS, **options).history


@pytest.fixture(scope="module")
def teacher() -> keras.Model:
    model = network(32, seed=1)
    model.get_layer("logits").kernel.assign(RNG.normal(size=(32, 3)) * 20)
    return model


def disagreement(student: keras.Model, teacher: keras.Model) -> float:
    softened = [keras.ops.softmax(model(IMAGES, training=False) / 4.0) for model in (student, teacher)]
    return float(keras.ops.mean(keras.ops.abs(softened[0] - softened[1])))


def test_the_student_learns_the_teachers_answers_and_the_teacher_stays(teacher) -> None:
    student, before = network(16, seed=2), [np.copy(value) for value in teacher.get_weights()]
    start = disagreement(student, teacher)
    history = train(distiller(student, teacher, alpha=1.0), epochs=30)
    assert disagreement(student, teacher) < 0.5 * start
    assert history["loss"][-1] < history["loss"][0]
    assert all(np.array_equal(old, new) for old, new in zip(before, teacher.get_weights(), strict=True))
    assert teacher.trainable
    assert teacher.trainable_variables


def test_the_loss_is_that_of_the_paper(teacher) -> None:
    student = network(16, seed=2, l2=0.1)
    teaching = distiller(student, teacher, temperature=3.0, alpha=0.7)
    teaching.compile("sgd", loss=LOSS)
    answers = student(IMAGES, training=False)
    loss = teaching.compute_loss(x=IMAGES, y=LABELS, y_pred=answers)
    wanted, given = (keras.ops.softmax(logits / 3.0) for logits in (teacher(IMAGES, training=False), answers))
    soft = 9.0 * keras.losses.KLDivergence()(wanted, given)
    penalty = float(sum(student.losses))
    assert float(loss) == pytest.approx(0.3 * float(LOSS(LABELS, answers)) + 0.7 * float(soft) + penalty, rel=1e-4)


def test_validation_gives_the_labels_loss_alone(teacher) -> None:
    student = network(16, seed=2)
    teaching = distiller(student, teacher, features=[FeaturePair(student="maps", teacher="maps")])
    teaching.compile("sgd", loss=LOSS, metrics=["accuracy"])
    statistics = np.copy(student.get_layer("backbone").layers[1].moving_mean)
    measured = teaching.evaluate(IMAGES, LABELS, verbose=0, return_dict=True)
    assert measured["loss"] == pytest.approx(float(LOSS(LABELS, student(IMAGES, training=False))), rel=1e-4)
    np.testing.assert_array_equal(statistics, student.get_layer("backbone").layers[1].moving_mean)


def test_features_of_nested_models_are_matched_through_a_projection(teacher) -> None:
    student = network(16, seed=2)
    pairs = [FeaturePair(student="maps", teacher="maps"), FeaturePair(student="pooled", teacher="pooled", weight=0.5)]
    teaching = distiller(student, teacher, alpha=0.0, features=pairs)
    assert [tuple(layer.kernel.shape) for layer in teaching.projections] == [(16, 32), (16, 32)]
    history = train(teaching, epochs=8)
    assert history["loss"][-1] < 0.8 * history["loss"][0]


def test_equal_widths_need_no_projection(teacher) -> None:
    student = network(32, seed=5)
    teaching = distiller(student, teacher, alpha=0.0, features=[FeaturePair(student="maps", teacher="maps")])
    assert not teaching.projections[0].weights
    student.set_weights(teacher.get_weights())
    teaching.compile("sgd", loss=LOSS)
    answers = teaching(IMAGES, training=False)
    assert float(teaching.compute_loss(x=IMAGES, y=LABELS, y_pred=answers)) == pytest.approx(
        float(LOSS(LABELS, answers)), rel=1e-4
    )


def test_a_cut_network_is_compared_channel_by_channel_with_the_whole_one(teacher) -> None:
    plan = plan_channel_pruning(teacher, criterion="weight_norm", keep=0.5)
    (kept,) = (group.kept for group in plan.groups if group.name == "conv")
    pairs = kept_feature_maps(teacher, plan, weight=2.0)
    assert pairs == (FeaturePair(student="maps", teacher="maps", weight=2.0, channels=kept),)
    student = prune_channels(teacher, plan)
    teaching = distiller(student, teacher, alpha=0.0, features=pairs)
    assert not teaching.projections[0].weights
    teaching.compile("sgd", loss=LOSS)
    answers = teaching(IMAGES, training=False)
    labels = float(LOSS(LABELS, answers))
    assert float(teaching.compute_loss(x=IMAGES, y=LABELS, y_pred=answers)) == pytest.approx(labels, rel=1e-4)
    swapped = [dataclasses.replace(pairs[0], channels=kept[::-1])]
    teaching = distiller(student, teacher, alpha=0.0, features=swapped)
    teaching.compile("sgd", loss=LOSS)
    answers = teaching(IMAGES, training=False)
    assert float(teaching.compute_loss(x=IMAGES, y=LABELS, y_pred=answers)) > labels + 0.1


def test_the_last_sum_of_each_size_is_compared_and_the_last_maps(image) -> None:
    model = build_classifier(build_backbone("resnet8", image=image), classes=3)
    plan = plan_channel_pruning(model, criterion="weight_norm", keep=0.5)
    pairs = kept_feature_maps(model, plan)
    sizes = {node.name: node.output.shape[1:] for node in read_graph(model).nodes}
    assert [sizes[pair.student] for pair in pairs] == [(32, 32, 16), (16, 16, 32), (8, 8, 64), (8, 8, 64)]
    assert [len(pair.channels or ()) for pair in pairs] == [16, 16, 32, 32]


def test_class_weights_count_for_the_labels(teacher) -> None:
    losses = []
    for weights in (None, {0: 5.0, 1: 5.0, 2: 5.0}):
        student = network(16, seed=2)
        losses.append(train(distiller(student, teacher), epochs=1, class_weight=weights, shuffle=False)["loss"][0])
    assert losses[1] > losses[0]


@pytest.mark.slow
def test_it_trains_under_xla_mixed_precision_accumulation_and_averaging(teacher) -> None:
    student = with_dtype_policy(network(16, seed=2), "mixed_float16")
    teaching = distiller(student, teacher, features=[FeaturePair(student="maps", teacher="maps")])
    optimizer = keras.optimizers.Adam(1e-2, gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.5)
    start = np.copy(student.get_layer("logits").kernel)
    averaging = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    options = {"validation_data": (IMAGES, LABELS), "optimizer": optimizer, "jit": True}
    history = train(teaching, averaging, **options)
    assert np.isfinite(history["loss"] + history["val_loss"]).all()
    assert not np.array_equal(start, student.get_layer("logits").kernel)


def test_a_student_may_be_quantised_and_pruned_at_once(teacher) -> None:
    student = quantize_aware(prunable(network(16, seed=2), first=True), IMAGES, input_range=(-1.0, 1.0))
    pair = FeaturePair(student="maps", teacher="maps")
    callback = PruneWeights(ConstantSparsity(target_sparsity=0.5))
    train(distiller(student, prunable(teacher), features=[pair]), callback, epochs=1)
    assert {row.layer for row in sparsity(student).layers if row.masked} == {"conv", "logits"}
    assert sparsity(student).masked_share == pytest.approx(0.5, abs=0.01)


def test_all_faults_are_told_before_training(teacher) -> None:
    student = network(16, seed=2)
    with pytest.raises(ModelError, match=r"temperature must be .* 0.0; alpha must be in \[0, 1\]; got 2"):
        distiller(student, teacher, temperature=0.0, alpha=2.0)
    with pytest.raises(ModelError, match="the teacher would teach nothing"):
        distiller(student, teacher, alpha=0.0)
    with pytest.raises(ModelError, match=r"takes 8x8x3, the teacher 10x10x3 .*Resizing.*gives 3 logits, the teacher 4"):
        distiller(student, network(32, seed=1, classes=4, size=10))
    with pytest.raises(ModelError, match="the teacher ends in a softmax, expected logits"):
        distiller(student, network(32, seed=1, last="softmax"))
    with pytest.raises(
        ModelError, match=r"student has no layer 'map'; did you mean 'maps'\?.*'maps' gives 3x3x16 and 'pooled' 32"
    ):
        pairs = [FeaturePair(student="map", teacher="maps"), FeaturePair(student="maps", teacher="pooled")]
        distiller(student, teacher, features=pairs)
    with pytest.raises(ModelError, match="'maps' has 16 channels; the pair names 2 of 'maps'"):
        distiller(student, teacher, features=[FeaturePair(student="maps", teacher="maps", channels=(0, 1))])
    with pytest.raises(ModelError, match="'maps' has channels 0 to 31; the pair names 32"):
        places = tuple(range(17, 33))
        distiller(student, teacher, features=[FeaturePair(student="maps", teacher="maps", channels=places)])
