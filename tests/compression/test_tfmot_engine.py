"""The tensorflow-model-optimization engine: twins, refusals, quantisation, pruning, clustering, export."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.tools import flatbuffer_utils

from tfkit.compression.tfmot import (
    copy_weights_back,
    export_tfmot_int8,
    fit_tfmot,
    rebuild_in_tf_keras,
    tfmot_cluster,
    tfmot_prune,
    tfmot_quantize_aware,
    tfmot_refusals,
    tfmot_strip,
)
from tfkit.errors import ExportError, ModelError, TrainingError
from tfkit.graph import read_graph
from tfkit.runtimes import LiteRTRuntime, read_operators, read_signature

SHAPE, CLASSES = (16, 16, 3), 4


def _convolution(x, *, strides=1):
    x = keras.layers.Conv2D(16, 3, strides=strides, padding="same", use_bias=False, kernel_regularizer="l2")(x)
    return keras.layers.BatchNormalization(momentum=0.9)(x)


def new_model(preprocessing=None, *, end="softmax"):
    """Augmentation -> Rescaling -> nested residual backbone with a separable convolution -> head."""
    keras.utils.set_random_seed(3)
    features = keras.Input((8, 8, 16))
    branch = keras.layers.ReLU()(_convolution(features))
    branch = keras.layers.SeparableConv2D(16, 3, padding="same", use_bias=False)(branch)
    branch = keras.layers.BatchNormalization(momentum=0.9)(branch)
    backbone = keras.Model(features, keras.layers.ReLU()(branch + features), name="backbone")
    pixels = keras.Input(SHAPE, name="pixels")
    x = keras.layers.RandomFlip("horizontal", name="random_flip")(pixels)
    x = (preprocessing or keras.layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing"))(x)
    x = backbone(keras.layers.ReLU(6.0)(_convolution(x, strides=2)))
    x = keras.layers.Dropout(0.1)(keras.layers.GlobalAveragePooling2D()(x))
    x = keras.layers.Dense(CLASSES, name="logits")(x)
    return keras.Model(pixels, keras.layers.Softmax(name="scores")(x) if end == "softmax" else x, name="small")


@pytest.fixture(scope="module")
def pixels():
    """Four colours with noise, uint8, and their classes."""
    random = np.random.default_rng(0)
    labels = np.arange(64) % CLASSES
    colours = np.array([[200, 40, 40], [40, 200, 40], [40, 40, 200], [180, 180, 180]])
    noisy = colours[labels][:, None, None, :] + random.normal(0, 30, (64, *SHAPE))
    return np.clip(noisy, 0, 255).astype(np.uint8), labels


@pytest.fixture(scope="module")
def batches(pixels):
    images, labels = pixels
    targets = np.eye(CLASSES, dtype=np.float32)[labels]
    return tf.data.Dataset.from_tensor_slices((images.astype(np.float32), targets)).batch(16)


@pytest.fixture(scope="module")
def trained(batches):
    """The model, and its twin after a few epochs."""
    model = new_model()
    twin = rebuild_in_tf_keras(model, techniques=("quantization", "pruning", "clustering"), batch_norm="train")
    fit_tfmot(twin, batches, None, epochs=4, learning_rate=1e-2, steps_per_epoch=4)
    copy_weights_back(twin, model)
    return model, rebuild_in_tf_keras(model)


def _layers(twin, kind):
    wrapped = [getattr(layer, "layer", layer) for layer in twin.model.layers]
    return [layer for layer in wrapped if type(layer).__name__ == kind]


def _zeros(kernel):
    return float(np.mean(np.asarray(kernel) == 0))


def _int8_kernels(flatbuffer):
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(flatbuffer))
    graph, code = model.subgraphs[0], schema.BuiltinOperator.CONV_2D
    convolutions = [each for each in graph.operators if model.operatorCodes[each.opcodeIndex].builtinCode == code]
    buffers = [model.buffers[graph.tensors[each.inputs[1]].buffer].data for each in convolutions]
    return [np.frombuffer(bytes(data), np.int8) for data in buffers]


@pytest.mark.slow
def test_nothing_of_tfmot_is_loaded_before_it_is_used_and_keras_3_stays_keras_3():
    script = """
import os, sys
import tfkit.compression.tfmot as engine
assert not {"tf_keras", "tensorflow_model_optimization"} & set(sys.modules), "loaded too early"
before = dict(os.environ)
from tfkit.compression.tfmot.twin import load_tf_keras, load_tfmot
tfmot, tf_keras = load_tfmot(), load_tf_keras()
import keras, tensorflow as tf
assert dict(os.environ) == before
assert tf.keras.Model is keras.Model
tfmot.quantization.keras.quantize_model(tf_keras.Sequential([tf_keras.layers.Dense(2, input_shape=(3,))]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_twin_gives_what_the_keras_model_gives(pixels):
    model = new_model()
    twin = rebuild_in_tf_keras(model)
    assert (twin.pixel_scale, twin.pixel_offset) == (pytest.approx(1 / 127.5), -1)
    assert set(twin.left_out) == {"preprocessing", "random_flip"}
    wanted = keras.ops.convert_to_numpy(model(pixels[0].astype(np.float32), training=False))
    assert np.abs(twin.scores(pixels[0]) - wanted).max() <= 1e-5
    assert len(twin.model.losses) == 2  # the regularisers came along


@pytest.mark.slow
def test_preprocessing_by_channel_becomes_a_depthwise_convolution_on_raw_pixels(pixels, batches, tmp_path):
    model = new_model(keras.layers.Rescaling([0.017, 0.0175, 0.0174], offset=[-2.1, -2.0, -1.8]))
    twin = rebuild_in_tf_keras(model)
    assert (twin.pixel_scale, twin.pixel_offset) == (1, 0)
    wanted = keras.ops.convert_to_numpy(model(pixels[0].astype(np.float32), training=False))
    assert np.abs(twin.scores(pixels[0]) - wanted).max() <= 1e-5
    quantised = tfmot_quantize_aware(twin)
    fit_tfmot(quantised, batches, None, epochs=1, learning_rate=1e-4, steps_per_epoch=4)
    (tmp_path / "model.tflite").write_bytes(export_tfmot_int8(quantised))
    taken = read_signature(tmp_path / "model.tflite").inputs[0]
    assert (taken.dtype, taken.scale, taken.zero_point) == ("uint8", pytest.approx(1), 0)


def test_every_refused_layer_is_named_with_its_class_and_reason():
    inputs = keras.Input(SHAPE)
    x = keras.layers.BatchNormalization(name="lone")(keras.layers.MaxPooling2D()(inputs))
    x = keras.layers.LayerNormalization(name="norm")(x)
    x = keras.layers.Multiply(name="gate")([x, keras.layers.Activation("sigmoid")(x)])
    shared = keras.layers.Dense(3, name="shared")
    x = keras.layers.Lambda(lambda y: y * 2, name="python")(shared(shared(x)))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    refused = {refusal.layer: refusal for refusal in tfmot_refusals(model)}
    assert set(refused) == {"lone", "norm", "gate", "shared", "shared_call2", "python"}
    assert "no shared layers" in refused["shared"].reason
    with pytest.raises(ModelError) as raised:
        rebuild_in_tf_keras(model)
    for name, refusal in refused.items():
        assert f"'{name}' ({refusal.kind})" in str(raised.value)
    assert {refusal.layer for refusal in tfmot_refusals(model, techniques=("pruning",))} < set(refused)


def test_subclassed_model_and_several_inputs_are_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ModelError, match="subclass"):
        rebuild_in_tf_keras(Own())
    two = [keras.Input(SHAPE), keras.Input(SHAPE)]
    with pytest.raises(ModelError, match="2 inputs"):
        rebuild_in_tf_keras(keras.Model(two, keras.layers.Add()(two)))


@pytest.mark.slow
def test_quantised_file_takes_uint8_and_behaves_like_the_trained_twin(trained, pixels, batches, tmp_path):
    _, twin = trained
    quantised = tfmot_quantize_aware(twin)
    assert quantised.pixel_offset == pytest.approx(-128 / 127.5)
    norm = _layers(quantised, "BatchNormalization")[0]
    before = [weight.copy() for weight in norm.get_weights()]
    history = fit_tfmot(
        quantised, batches, batches, epochs=3, learning_rate=1e-3, steps_per_epoch=4, schedule="cosine", warmup=0.1
    )
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    assert history["learning_rate"][-1] == pytest.approx(0, abs=1e-9)
    assert all(np.array_equal(old, new) for old, new in zip(before, norm.get_weights(), strict=True))
    path = tmp_path / "model.tflite"
    path.write_bytes(export_tfmot_int8(quantised))
    assert not [operator for operator in read_operators(path) if operator.is_float]
    signature = read_signature(path)
    assert (signature.inputs[0].dtype, signature.inputs[0].zero_point) == ("uint8", 128)
    assert (signature.inputs[0].name, signature.outputs[0].name) == ("pixels", "scores")
    assert signature.outputs[0].dtype == "uint8"
    with LiteRTRuntime(path) as runtime:
        scores = runtime.scores(pixels[0])
    assert np.abs(scores - quantised.scores(pixels[0])).max() <= 4 / 256
    assert np.mean(scores.argmax(axis=1) == pixels[1]) >= 0.9


def test_twin_without_quantisers_is_not_exported(trained):
    with pytest.raises(ExportError, match="no quantisers"):
        export_tfmot_int8(trained[1])


def test_batch_norm_learns_when_asked_to(batches):
    twin = rebuild_in_tf_keras(new_model(), batch_norm="train")
    norm = _layers(twin, "BatchNormalization")[0]
    before = norm.get_weights()
    fit_tfmot(twin, batches, None, epochs=1, learning_rate=1e-3, steps_per_epoch=4)
    assert not np.allclose(before[2], norm.get_weights()[2])


def test_a_model_that_ends_in_logits_is_trained_on_them(batches):
    twin = rebuild_in_tf_keras(new_model(end="logits"), batch_norm="train")
    history = fit_tfmot(
        twin, batches, None, epochs=3, learning_rate=3e-3, steps_per_epoch=4, optimizer="sgd", weight_decay=1e-4
    )
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.slow
def test_compiled_step_trains_the_quantised_twin(trained, batches):
    quantised = tfmot_quantize_aware(trained[1])
    history = fit_tfmot(quantised, batches, None, epochs=1, learning_rate=1e-4, steps_per_epoch=4, jit_compile=True)
    assert np.isfinite(history["loss"]).all()


@pytest.mark.slow
def test_pruned_weights_reach_the_keras_model_and_stay_pruned_through_quantisation(trained, batches):
    model, twin = trained
    wrapped = tfmot_prune(twin, final_sparsity=0.75, begin_step=0, end_step=6, frequency=1)
    fit_tfmot(wrapped, batches, None, epochs=2, learning_rate=1e-3, steps_per_epoch=4)
    pruned = tfmot_strip(wrapped)
    kernels = [layer.kernel for layer in _layers(pruned, "Conv2D")]
    assert [_zeros(kernel) for kernel in kernels] == [pytest.approx(0.75, abs=0.01)] * len(kernels)
    assert _layers(twin, "Conv2D")[0].get_weights()[0].all()  # the twin that was given is as it was
    sparse = keras.models.clone_model(model)
    copy_weights_back(pruned, sparse)
    convolutions = [node.operation for node in read_graph(sparse).nodes if node.kind == "Conv2D"]
    assert all(_zeros(layer.kernel) == pytest.approx(0.75, abs=0.01) for layer in convolutions)
    quantised = tfmot_quantize_aware(pruned, preserve="sparsity")
    fit_tfmot(quantised, batches, None, epochs=1, learning_rate=1e-3, steps_per_epoch=4)
    in_file = _int8_kernels(export_tfmot_int8(quantised))
    assert [_zeros(kernel) for kernel in in_file] == [pytest.approx(0.75, abs=0.02)] * len(kernels)


def test_clustered_kernels_hold_at_most_the_asked_number_of_values(trained, batches):
    _, twin = trained
    wrapped = tfmot_cluster(twin, clusters=8)
    fit_tfmot(wrapped, batches, None, epochs=1, learning_rate=1e-4, steps_per_epoch=4)
    clustered = tfmot_strip(wrapped)
    for layer in _layers(clustered, "Conv2D"):
        assert len(np.unique(layer.get_weights()[0])) <= 8


def test_all_faults_of_a_pruning_schedule_are_told_at_once(trained):
    with pytest.raises(ModelError) as raised:
        tfmot_prune(trained[1], final_sparsity=1.2, begin_step=5, end_step=2, frequency=0)
    assert all(word in str(raised.value) for word in ("final_sparsity", "begin_step", "frequency"))
    with pytest.raises(ModelError, match="clusters"):
        tfmot_cluster(trained[1], clusters=1)


def test_weights_of_a_wrapped_twin_are_not_copied_back(trained):
    model, twin = trained
    with pytest.raises(ModelError, match="prune_low_magnitude") as raised:
        copy_weights_back(tfmot_prune(twin, final_sparsity=0.5, begin_step=0, end_step=10), model)
    assert "tfmot_strip" in raised.value.hint


def test_a_loss_that_is_no_number_ends_the_training_of_a_twin(pixels):
    twin = rebuild_in_tf_keras(new_model())
    images, labels = pixels
    batches = tf.data.Dataset.from_tensor_slices((images, np.eye(CLASSES, dtype=np.float32)[labels])).batch(16)
    with pytest.raises(TrainingError, match=r"step [1-9].*learning rate"):
        fit_tfmot(twin, batches, None, epochs=3, learning_rate=1e30, steps_per_epoch=4, jit_compile=True)
    assert all(np.isfinite(values).all() for values in twin.model.get_weights())
