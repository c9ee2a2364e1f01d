"""The inverse root of the integer file's kernel, against that kernel."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils

from tfkit.layers import QuantizedLayerNormalization
from tfkit.layers.tables import looked_up_inverse_root, tabulated_inverse_root

ALL = np.arange(32768, dtype=np.int16)


def answers_of_litert(input_step: float, output_step: float) -> np.ndarray:
    """A file with one 16-bit RSQRT, run on every number of 0 or more."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    code, operator = schema.OperatorCodeT(), schema.OperatorT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.RSQRT
    graph.tensors = []
    for name, step in (("variance", input_step), ("root", output_step)):
        tensor, grid = schema.TensorT(), schema.QuantizationParametersT()
        grid.scale, grid.zeroPoint = [step], [0]
        tensor.name, tensor.shape, tensor.type = name, [len(ALL)], schema.TensorType.INT16
        tensor.buffer, tensor.quantization = 0, grid
        graph.tensors.append(tensor)
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph.operators, graph.inputs, graph.outputs = [operator], [0], [1]
    model.version, model.buffers, model.operatorCodes, model.subgraphs = 3, [schema.BufferT()], [code], [graph]
    interpreter = Interpreter(model_content=bytes(flatbuffer_utils.convert_object_to_bytearray(model)))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, ALL)
    interpreter.invoke()
    return interpreter.get_tensor(1)


@pytest.mark.parametrize("smallest", [10, 78, 2000, 12000])
@pytest.mark.parametrize("input_step", [3.9e-3, 1.3e-5, 8.8e-7])
def test_every_answer_is_that_of_the_kernel(input_step: float, smallest: int) -> None:
    """For ranges whose largest root is that of `smallest` steps."""
    output_step = float(1 / np.sqrt(smallest * input_step) / 32767)
    inputs = (ALL * np.float64(input_step)).astype(np.float32)
    found = tabulated_inverse_root(inputs, input_step=np.float32(input_step), output_step=np.float32(output_step))
    steps = np.round(keras.ops.convert_to_numpy(found) / output_step)
    away = np.abs(steps - answers_of_litert(input_step, output_step))
    assert away.max() <= 1 and away.mean() < 0.01  # halves of odd errors went to even numbers: one in seven


@pytest.mark.parametrize("smallest", [1, 10, 78, 2000, 12000])
@pytest.mark.parametrize("input_step", [3.9e-3, 1.3e-5, 8.8e-7])
def test_every_looked_up_answer_is_that_of_the_kernel_to_the_bit(input_step: float, smallest: int) -> None:
    output_step = float(np.float32(1 / np.sqrt(smallest * input_step) / 32767))
    found = looked_up_inverse_root(ALL.astype(np.float64), input_step=input_step, output_step=output_step)
    assert np.array_equal(keras.ops.convert_to_numpy(found), answers_of_litert(input_step, output_step))


def test_the_gradient_is_the_slope_of_the_line() -> None:
    variance = tf.Variable([0.2, 0.4, 0.45])
    with tf.GradientTape() as tape:
        roots = tabulated_inverse_root(variance, input_step=3.9e-3, output_step=4.6e-5)
    slopes = tape.gradient(roots, variance).numpy()
    np.testing.assert_allclose(slopes, np.full(3, slopes[0]), rtol=1e-4)
    np.testing.assert_allclose((roots[2] - roots[1]) / (0.45 - 0.4), slopes[0], rtol=0.05)


def test_a_normalisation_looks_roots_up_once_it_rounds() -> None:
    layer = QuantizedLayerNormalization(bits=16)
    inputs = np.random.default_rng(0).normal(size=(3, 5, 8)).astype(np.float32)
    inputs[:, 0] *= 30  # one position's variance is 900 times that of the others
    expected = keras.layers.LayerNormalization()(inputs).numpy()
    layer(inputs)
    largest = {"mean": 30, "centred": 120, "squares": 14400, "variance": 1500, "inverse_deviation": 3, "normalized": 4}
    for step, quantizer in layer.quantizers.items():
        quantizer.minimum.assign(-largest[step])
        quantizer.maximum.assign(largest[step])
    difference = np.abs(layer(inputs).numpy() - expected).max(axis=(0, 2))
    assert difference[1:].max() > 0.2 > 0.05 > difference[0]
    for quantizer in layer.quantizers.values():
        quantizer.enabled = False
    np.testing.assert_allclose(layer(inputs).numpy(), expected, atol=1e-5)


def test_the_variance_of_a_quiet_token_survives_a_loud_one() -> None:
    """Its squares are less than a step of the loud one's, their sum is not."""
    layer = QuantizedLayerNormalization(bits=16)
    inputs = np.random.default_rng(0).normal(0, 0.3, size=(3, 5, 64)).astype(np.float32)
    inputs[:, 0, 7] = 200.0
    layer(inputs)
    for quantizer in layer.quantizers.values():
        quantizer.start_collecting()
    layer(inputs)
    for quantizer in layer.quantizers.values():
        low, high = (np.concatenate(ends) for ends in zip(*quantizer.take_collected(), strict=True))
        quantizer.minimum.assign(low.min())
        quantizer.maximum.assign(high.max())
    seen = {}
    layer.steps(inputs, lambda step, value: seen.setdefault(step, layer.quantizers[step](value)))
    assert layer.quantizers["squares"].real_range()[1] > 30_000
    np.testing.assert_allclose(seen["squares"][:, 1:, 0], 64 * inputs[:, 1:].var(axis=-1), rtol=0.15)
