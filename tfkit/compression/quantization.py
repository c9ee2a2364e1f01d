"""Rewrite a trained Keras model so that it trains on the numbers its int8 file will compute with."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

import keras
import numpy as np

from tfkit.arguments import takes_text
from tfkit.compression.calibration import Calibration, calibrate, unrounded
from tfkit.compression.differences import refuse_zero_differences
from tfkit.compression.input_grid import InputGrid, input_grids
from tfkit.compression.kinds import kind_of
from tfkit.compression.kinds.attention import is_wide_softmax
from tfkit.compression.kinds.kind import Training
from tfkit.compression.neighbours import Neighbours
from tfkit.compression.planning import LayerPlan, WideValues, coverage_rows, layers_in_float, plan_layers, wide_values
from tfkit.compression.policy import LayerCoverage, QuantizationPolicy
from tfkit.compression.splitting import split_layers
from tfkit.errors import ModelError
from tfkit.graph import LayerCall, LayerGraph, Node, Value, build_model, read_graph, refuse_difference
from tfkit.graph.building import Copy
from tfkit.keras_types import Inputs, Tensor
from tfkit.layers import FakeQuantize, PixelGrid, round_to_steps
from tfkit.models import with_float_pixels

# How far numbers of the model on 255 steps of their range may move what comes out, as a share of it.
_ROUNDED_CONSTANTS = 0.03
BatchNorm = Literal["frozen", "train"]


class _Slack(TypedDict, total=False):
    tolerance: float


@takes_text
def quantize_aware(
    model: keras.Model,
    calibration: Calibration,
    *,
    policy: QuantizationPolicy | None = None,
    input_range: tuple[float, float] = (0.0, 255.0),
    batch_norm: BatchNorm = "frozen",
    jit_compile: bool = False,
) -> keras.Model:
    """Rewrite a trained model for quantisation-aware training.

    The result is a plain functional model with registered layers: compile, fit, save, load and resume it as any
    other. A transformer is opened into its operators before: `tfkit.models.text.open_transformer`. Kernels pass a
    per-channel symmetric fake quantiser, activations a per-tensor one (Jacob et al. 2018,
    https://arxiv.org/abs/1712.05877) where the file will hold a tensor: conv -> BatchNorm -> ReLU has one rounding,
    behind the ReLU. Ranges are set from the calibration samples and then follow a moving average.

    Args:
        model: A functional or sequential model, nested models included, trained in float. It is not changed.
        calibration: What the model takes, or batches of it: some hundred real training images, float or uint8
            (n, height, width, channels), or a dictionary of int32 token ids and padding mask, (n, length) each.
        policy: Bits, and layers to leave alone; default int8 throughout.
        input_range: What the model takes for the pixels 0 and 255. The exported file takes uint8 pixels.
        batch_norm: `frozen`: BatchNorm keeps its statistics, scale and shift, as the file has them; `train`: it
            learns on, which from-scratch training on large batches may want.
        jit_compile: Say whether the model will be compiled with `jit_compile=True`: it chooses the fake quantiser
            that is quickest there. The numbers are the same.

    Returns:
        The rewritten, calibrated model, not compiled.

    Raises:
        ModelError: Before anything is computed; names every layer in the way, and says what to do. Or names the first
            layer after which the rewritten model, not rounded yet, does not compute what the model does.

    Example:
        >>> student = quantize_aware(model, pixels)
        >>> student.compile("adam", "categorical_crossentropy")
        >>> history = student.fit(batches, epochs=2, callbacks=[FreezeRanges(after_epochs=1)], verbose=0)
    """
    policy = policy or QuantizationPolicy()
    graph = split_layers(read_graph(with_float_pixels(model)))
    plans = plan_layers(graph, policy)
    refuse_zero_differences(graph, plans)
    rewriting = _Rewriting(
        graph,
        plans,
        {} if policy.weights_only else input_grids(graph, input_range, float_layers=layers_in_float(plans)),
        bits=policy.activation_bits,
        batch_norm=batch_norm,
        fused=not jit_compile,
    )
    rewritten = build_model(graph, rewriting.call, name=model.name)
    first, calibration = _first_of(calibration)
    with unrounded(rewritten):
        slack: _Slack = {"tolerance": _ROUNDED_CONSTANTS} if rewriting.rounds_constants else {}
        refuse_difference(model, rewritten, first, what="quantisation-aware copy", **slack)
    if not policy.weights_only:
        calibrate(rewritten, calibration)
    return rewritten


def _first_of(calibration: Calibration) -> tuple[Inputs | None, Calibration]:
    """The samples, or the first batch of them, and all of them again."""
    if isinstance(calibration, Mapping | np.ndarray):
        return calibration, calibration
    batches = iter(calibration)
    first = next(batches, None)
    return first, batches if first is None else itertools.chain([first], batches)


def quantization_coverage(model: keras.Model, *, policy: QuantizationPolicy | None = None) -> tuple[LayerCoverage, ...]:
    """Tell what quantisation-aware training would do with each layer, before anything is trained.

    Args:
        model: As for `quantize_aware`.
        policy: As for `quantize_aware`.

    Returns:
        One row for each layer of the model the file will hold, in running order.

    Raises:
        ModelError: As `quantize_aware` would.

    Example:
        >>> rows = quantization_coverage(model)
        >>> rows[-1].layer, rows[-1].precision
        ('scores', 'int8')
    """
    policy = policy or QuantizationPolicy()
    graph = split_layers(read_graph(with_float_pixels(model)))
    plans = plan_layers(graph, policy)
    refuse_zero_differences(graph, plans)
    return coverage_rows(graph, plans, policy)


class _Rewriting:
    """What to put in each node's place; holds the quantisers made so far."""

    def __init__(
        self,
        graph: LayerGraph,
        plans: dict[str, LayerPlan],
        grids: dict[int, InputGrid],
        *,
        bits: int,
        batch_norm: BatchNorm,
        fused: bool,
    ) -> None:
        self._neighbours, self._plans, self._grids = Neighbours(graph, kind_of), plans, grids
        self._bits, self._batch_norm, self._fused = bits, batch_norm, fused
        self._quantizers: dict[int, FakeQuantize] = {}
        self._narrow: dict[int, Tensor] = {}
        # What a layer in float gave, by the rounded tensor's identity.
        self._unrounded: dict[int, tuple[Tensor, Tensor]] = {}
        self.rounds_constants = False
        self._wide = wide_values(graph) if bits == 8 else WideValues()

    def call(
        self, node: Node, copy: Copy, args: tuple[Tensor, ...], kwargs: dict[str, object]
    ) -> Tensor | Sequence[Tensor]:
        plan = self._plans[node.name]
        args = self._on_input_grid(node, args)
        if plan.treatment == "kernel":
            args = (self._narrowed(node, args[0]), *args[1:])
        if plan.treatment == "compute":
            args = keras.tree.map_structure(self._constant, args)
        if plan.treatment == "float":
            args, kwargs = keras.tree.map_structure(self._as_float_layers_gave_it, (args, kwargs))
        outputs = self._layer(LayerCall(node, copy, args, kwargs), plan)
        rounded = self._rounded(node, plan, outputs)
        if plan.treatment == "float" and rounded is not outputs:
            self._unrounded[id(rounded)] = rounded, outputs
        return rounded

    def _as_float_layers_gave_it(self, argument: object) -> object:
        """The file rounds what a layer in float gives for layers of integers alone."""
        return self._unrounded.get(id(argument), (None, argument))[1]

    def _on_input_grid(self, node: Node, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Put the pixel grid between a model input and the layer that takes it, where that is its place."""

        def placed(value: object, tensor: Tensor) -> Tensor:
            grid = self._grids.get(id(value)) if isinstance(value, Value) else None
            return grid.layer_for(tensor) if grid is not None else tensor

        flat_values, flat_tensors = keras.tree.flatten(node.args), keras.tree.flatten(args)
        placed_tensors = [placed(value, tensor) for value, tensor in zip(flat_values, flat_tensors, strict=True)]
        return tuple(keras.tree.pack_sequence_as(args, placed_tensors))

    def _constant(self, argument: object) -> object:
        """An argument, numbers of the file on the grid that it holds them on: all alike, over their own range."""
        is_number = isinstance(argument, np.ndarray) or keras.ops.is_tensor(argument)
        if isinstance(argument, keras.KerasTensor) or not (is_number or isinstance(argument, keras.Variable)):
            return argument
        numbers = np.asarray(keras.ops.convert_to_numpy(argument))
        if numbers.size < 2 or numbers.dtype.kind != "f":
            return argument
        self.rounds_constants = True
        ends = numbers.min(), numbers.max()
        rounded = round_to_steps(keras.ops.convert_to_tensor(numbers), *ends, bits=self._bits, fused=False)
        return np.asarray(keras.ops.convert_to_numpy(rounded))

    def _narrowed(self, node: Node, tensor: Tensor) -> Tensor:
        """What a kernel of an 8-bit model takes of a tensor of 16 bits."""
        value = node.inputs[0]
        wide = self._quantizers.get(id(value))
        if wide is None or self._bits != 8 or wide.result_bits == 8:
            return tensor
        if id(value) not in self._narrow:
            name = wide.name.removesuffix("_quantizer")
            self._narrow[id(value)] = FakeQuantize(fused=self._fused, name=f"{name}_narrowed_quantizer")(tensor)
        return self._narrow[id(value)]

    def _layer(self, call: LayerCall, plan: LayerPlan) -> Tensor | Sequence[Tensor]:
        train = kind_of(call.node).train if plan.treatment != "float" else None
        if train is not None:
            trained = train(Training(self._bits, self._fused, self._wide.has_16_bits, plan.weight_bits), call)
            if trained is not None:
                return trained
        layer = call.copy()
        if call.node.kind == "BatchNormalization" and self._batch_norm == "frozen":
            layer.trainable = False
        return layer(*call.args, **call.kwargs)

    def _rounded(self, node: Node, plan: LayerPlan, outputs: Tensor | Sequence[Tensor]) -> Tensor | Sequence[Tensor]:
        name = f"{node.name}_quantizer"
        if plan.treatment == "input":
            grid = self._grids.get(id(node.output))
            if grid is not None and grid.rounds_behind:  # pixels scaled channel by channel: the first operator
                return self._new_quantizer(node.output, name)(outputs)
            return outputs
        if not plan.rounded:
            if plan.treatment in ("same", "absent"):
                self._hand_on(node)
            return outputs
        ties = kind_of(node).ties(node)
        if plan.treatment == "fixed":
            self._quantizers[id(node.output)] = self._fixed_quantizer(node, name)
            return self._quantizers[id(node.output)](outputs, **ties)
        if plan.treatment == "same_rounded":
            self._hand_on(node)
            if id(node.output) not in self._quantizers and (pixels := self._pixel_range(node.inputs[0])) is not None:
                self._quantizers[id(node.output)] = FakeQuantize(
                    name=name, fixed_range=pixels, bits=self._bits, fused=self._fused
                )
            if id(node.output) in self._quantizers:
                return self._quantizers[id(node.output)](outputs, **ties)
        return self._new_quantizer(node.output, name)(outputs)

    def _fixed_quantizer(self, node: Node, name: str) -> FakeQuantize:
        bits = 16 if is_wide_softmax(self._neighbours, node) else self._bits
        fixed_range = kind_of(node).fixed_range
        if fixed_range is None:
            raise ModelError(
                f"layer '{node.name}' ({node.kind}) is treated as `fixed`, and its kind does not tell its range",
                hint="give its Kind a fixed_range",
            )
        return FakeQuantize(name=name, fixed_range=fixed_range(node, bits), bits=bits, fused=self._fused)

    def _pixel_range(self, value: Value) -> tuple[float, float] | None:
        """The range of a tensor of pixels that nothing but the pixel grid has rounded."""
        grid = self._grids.get(id(value))
        if grid is not None and not grid.rounds_behind and not grid.tokens:
            return PixelGrid(scale=grid.scale, offset=grid.offset).real_range
        source = value.node
        if source is None or self._plans[source.name].treatment not in ("same", "absent"):
            return None
        return self._pixel_range(source.inputs[0])

    def _new_quantizer(self, value: Value, name: str) -> FakeQuantize:
        bits = 16 if self._wide.has_16_bits(value) else self._bits
        per_channel = id(value) in self._wide.added
        quantizer = FakeQuantize(bits=bits, per_channel=per_channel, fused=self._fused, name=name)
        self._quantizers[id(value)] = quantizer
        return self._quantizers[id(value)]

    def _hand_on(self, node: Node) -> None:
        source = self._quantizers.get(id(node.inputs[0]))
        if source is not None:
            self._quantizers[id(node.output)] = source
