"""Models laid open as a flat graph of layer calls, and built again from it."""

import keras
import numpy as np
import pytest

from tfkit.errors import ModelError
from tfkit.graph import build_model, read_graph
from tfkit.models import with_dtype_policy
from tfkit.training.weight_averaging import average_weights, copied

IMAGE = (16, 16, 3)


def _block(name, channels=8):
    inputs = keras.Input((16, 16, channels))
    x = keras.layers.Conv2D(channels, 3, padding="same", name="conv")(inputs)
    return keras.Model(inputs, keras.layers.ReLU(name="relu")(x), name=name)


def _nested():
    """Two nested models with layers of one name, one of them nested in another."""
    inputs = keras.Input((16, 16, 8))
    outer = keras.Model(inputs, _block("inner")(keras.layers.BatchNormalization(name="norm")(inputs)), name="outer")
    pixels = keras.Input(IMAGE, name="pixels")
    x = keras.layers.Conv2D(8, 1, name="stem")(pixels)
    return keras.Model(pixels, _block("second")(outer(x, training=False)), name="classifier")


def _same(model, rebuilt, shape=IMAGE):
    pixels = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    return np.array_equal(model(pixels, training=False), rebuilt(pixels, training=False))


def test_models_nested_in_nested_models_are_laid_open_in_running_order():
    graph = read_graph(_nested())
    assert [node.kind for node in graph.nodes] == ["Conv2D", "BatchNormalization", "Conv2D", "ReLU", "Conv2D", "ReLU"]
    assert graph.nodes[1].inputs[0].node is graph.nodes[0]
    assert graph.outputs == graph.nodes[-1].outputs


def test_layers_of_one_name_get_names_of_their_own():
    names = [node.name for node in read_graph(_nested()).nodes]
    assert len(set(names)) == len(names)
    assert names[:3] == ["stem", "norm", "conv"]


def test_a_rebuilt_model_gives_the_same_to_the_bit_and_shares_no_weights():
    model = _nested()
    rebuilt = build_model(read_graph(model))
    assert _same(model, rebuilt)
    rebuilt.layers[1].kernel.assign(rebuilt.layers[1].kernel * 2)
    assert not _same(model, rebuilt)


def test_a_shared_layer_is_two_nodes_of_one_operation_and_stays_shared():
    inputs = keras.Input(IMAGE)
    shared = keras.layers.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Model(inputs, shared(shared(inputs)))
    graph = read_graph(model)
    first, second = graph.nodes
    assert first.operation is second.operation
    assert first.name != second.name
    assert graph.calls_of(shared) == (first, second)
    rebuilt = build_model(graph)
    assert len(rebuilt.weights) == 2
    assert _same(model, rebuilt)


def test_operations_on_tensors_are_nodes_like_layers():
    inputs = keras.Input(IMAGE)
    x = keras.layers.ReLU(6.0)(inputs + 3.0) * (1 / 6)
    model = keras.Model(inputs, keras.ops.mean(x[:, ::2], axis=(1, 2)))
    graph = read_graph(model)
    assert [node.kind for node in graph.nodes] == ["Add", "ReLU", "Multiply", "GetItem", "Mean"]
    assert _same(model, build_model(graph))


def test_a_sequential_model_is_read_and_one_without_shape_is_refused():
    model = keras.Sequential([keras.Input(IMAGE), keras.layers.Flatten(), keras.layers.Dense(2)])
    assert [node.kind for node in read_graph(model).nodes] == ["Flatten", "Dense"]
    assert _same(model, build_model(read_graph(model)))
    with pytest.raises(ModelError, match="no input shape"):
        read_graph(keras.Sequential([keras.layers.Dense(2)]))


def test_several_inputs_and_outputs_keep_their_order():
    first, second = keras.Input((4,), name="first"), keras.Input((2,), name="second")
    joined = keras.layers.Concatenate()([second, first])
    model = keras.Model([first, second], [keras.layers.Dense(3)(joined), joined])
    rebuilt = build_model(read_graph(model))
    given = [np.ones((1, 4), np.float32), np.zeros((1, 2), np.float32)]
    for expected, found in zip(model(given), rebuilt(given), strict=True):
        assert np.array_equal(expected, found)


class _OwnCall(keras.Model):
    def __init__(self):
        super().__init__(name="own")
        self.dense = keras.layers.Dense(2)

    def call(self, inputs):
        return self.dense(inputs)


def test_a_subclassed_model_is_refused_alone_and_nested():
    with pytest.raises(ModelError, match="is a subclass of keras"):
        read_graph(_OwnCall())
    inputs = keras.Input((4,))
    with pytest.raises(ModelError, match="'own' is a subclass"):
        read_graph(keras.Model(inputs, _OwnCall()(inputs)))


def test_a_call_can_put_something_else_in_a_nodes_place():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Dropout(0.5)(inputs)))

    def without_dropout(node, copy, args, kwargs):
        return args[0] if node.kind == "Dropout" else copy()(*args, **kwargs)

    rebuilt = build_model(read_graph(model), without_dropout)
    assert [type(layer).__name__ for layer in rebuilt.layers] == ["InputLayer", "Dense"]
    assert _same(model, rebuilt, shape=(4,))


def test_operations_that_are_put_in_do_not_take_the_names_of_a_loaded_models_layers(tmp_path):
    """Keras counts from 0 in every process: a loaded model's first sum and the first that is made are both `add`."""
    inputs = keras.Input((4,))
    middle = keras.layers.Dense(4, name="dense")(keras.layers.Add(name="add")([inputs, inputs]))
    keras.Model(inputs, keras.layers.Add(name="add_2")([middle, inputs])).save(tmp_path / "model.keras")
    keras.backend.clear_session()
    model = keras.models.load_model(tmp_path / "model.keras")

    def with_sums(node, copy, args, kwargs):
        outputs = copy()(*args, **kwargs)
        return keras.ops.add(keras.ops.add(keras.ops.add(outputs, 0.0), 0.0), 0.0)

    assert _same(model, build_model(read_graph(model), with_sums), shape=(4,))


def test_a_copy_of_an_adapted_normalization_normalises():
    pixels = np.random.default_rng(0).uniform(0, 255, (16, 6, 6, 3)).astype("float32")
    adapted = keras.layers.Normalization()
    adapted.adapt(pixels)
    inputs = keras.Input((6, 6, 3))
    inner = keras.Sequential([keras.Input((6, 6, 3)), adapted], name="inner")
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(inner(inputs))))
    expected = model.predict(pixels, verbose=0)
    copies = {
        "build_model": build_model(read_graph(model)),
        "with_dtype_policy": with_dtype_policy(model, "float32"),
        "average_weights": average_weights([model, model]),
        "copied": copied(model),
    }
    for name, copy in copies.items():
        np.testing.assert_allclose(copy.predict(pixels, verbose=0), expected, atol=1e-5, err_msg=name)


class _Unwritten(keras.layers.Layer):
    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function

    def call(self, inputs):
        return self.function(inputs)


def test_a_layer_that_only_keras_settings_were_given_to_is_copied_without_its_own_word():
    """keras-hub gives layers a policy that Keras cannot write down; its backbones are saved by other means."""
    inputs = keras.Input(IMAGE)
    handed_on = keras.layers.Identity(dtype=keras.DTypePolicy("float32"), name="handed_on")
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3)(handed_on(inputs)))
    with pytest.raises(NotImplementedError):
        handed_on.get_config()
    rebuilt = build_model(read_graph(model))
    assert _same(model, rebuilt)
    assert rebuilt.get_layer("handed_on").dtype_policy.name == "float32"


def test_a_layer_that_does_not_tell_what_it_was_made_with_is_named():
    inputs = keras.Input(IMAGE)
    model = keras.Model(inputs, _Unwritten(keras.ops.square, name="squared")(inputs))
    with pytest.raises(ModelError, match=r"layer 'squared' \(_Unwritten\) cannot be built again"):
        build_model(read_graph(model))
