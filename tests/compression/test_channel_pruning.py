"""Channel pruning: groups, criteria, budgets, the smaller model, and what it is said to cost."""

import keras
import numpy as np
import pytest

from tfkit.compression.channels import (
    WidthRule,
    plan_channel_pruning,
    predict_bytes,
    predict_latency,
    prune_channels,
)
from tfkit.compression.channels.planning import kept_classes
from tfkit.compression.channels.rules import trace_channels
from tfkit.compression.channels.widths import find_groups
from tfkit.errors import ModelError
from tfkit.graph import read_graph
from tfkit.models.applications import cifar_resnet

layers, applications = keras.layers, keras.applications


def _classifier(features, inputs):
    return keras.Model(inputs, layers.Dense(5, name="logits")(layers.GlobalAveragePooling2D()(features)))


def _resnet8():
    inputs = keras.Input((32, 32, 3))
    return _classifier(cifar_resnet(8, inputs=inputs).output, inputs)


def _nested(backbone):
    inputs = keras.Input(backbone.input_shape[1:])
    x = layers.Rescaling(1 / 127.5, offset=-1)(layers.RandomFlip("horizontal")(inputs))
    return _classifier(backbone(x), inputs)


def _mobilenet_v2():
    return _nested(applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, include_top=False))


def _mobilenet_v3():
    return applications.MobileNetV3Small((96, 96, 3), weights=None, classes=5, classifier_activation=None)


def _dense_block():
    inputs = x = keras.Input((16, 16, 3))
    x = layers.Conv2D(32, 3, padding="same", name="stem")(x)
    for number in range(3):
        y = layers.ReLU()(layers.BatchNormalization()(x))
        y = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(48, 1, use_bias=False, name=f"wide{number}")(y)))
        y = layers.Conv2D(24, 3, padding="same", use_bias=False, name=f"grow{number}")(y)
        x = layers.Concatenate(name=f"join{number}")([x, y])
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.AveragePooling2D(2)(layers.Conv2D(64, 1, name="transition")(x))
    return _classifier(layers.ReLU()(layers.BatchNormalization()(x)), inputs)


def _flatten_to_dense():
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(32, 3, padding="same", activation="relu", name="conv")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(layers.ZeroPadding2D(1)(layers.MaxPooling2D(4)(x))))
    x = layers.Dense(48, activation="relu", name="hidden")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(5, name="logits")(x))


def _separable():
    inputs = keras.Input((32, 32, 3))
    x = layers.Conv2D(32, 3, strides=2, name="stem")(inputs)
    for filters in (48, 64):
        x = layers.SeparableConv2D(filters, 3, padding="same", depth_multiplier=2, name=f"separable{filters}")(x)
        x = layers.Activation("silu")(layers.BatchNormalization()(x))
    return _classifier(x, inputs)


def _shared_layer():
    inputs = keras.Input((16, 16, 3))
    shared = layers.Conv2D(32, 3, padding="same", activation="relu", name="shared")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(32, 3, name="stem")(inputs)))
    return _classifier(shared(shared(x)), inputs)


def _turned():
    inputs = keras.Input((16, 16, 3))
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(32, 3, name="stem")(inputs)))
    x = layers.Conv2D(32, 3, activation="relu", name="behind")(layers.Permute((2, 1, 3))(x))
    return _classifier(x, inputs)


MODELS = {
    "resnet8": _resnet8,
    "mobilenet_v2": _mobilenet_v2,
    "mobilenet_v3": _mobilenet_v3,
    "dense_block": _dense_block,
    "flatten": _flatten_to_dense,
    "separable": _separable,
    "shared": _shared_layer,
    "turned": _turned,
}
NAMES = [pytest.param(name, marks=pytest.mark.slow) if name == "mobilenet_v2" else name for name in MODELS]


@pytest.fixture(scope="module")
def made():
    """Each model is built once, with weights as after training; no test changes it."""
    models = {}

    def make(name):
        if name not in models:
            keras.utils.set_random_seed(3)
            models[name] = _as_if_trained(MODELS[name]())
        return models[name]

    return make


def _as_if_trained(model):
    rng = np.random.default_rng(5)
    for node in read_graph(model).nodes:
        for weight in getattr(node.operation, "weights", []):
            if weight.name in ("gamma", "moving_variance"):
                weight.assign(rng.uniform(0.5, 1.5, weight.shape))
            elif weight.name in ("beta", "bias", "moving_mean"):
                weight.assign(rng.normal(0, 0.2, weight.shape))
    return model


def _images(model, number=2):
    shape = (number, *model.input_shape[1:])
    return np.random.default_rng(7).uniform(0, 255, shape).astype(np.float32)


def _run(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def _with_removed_channels_at_zero(model, plan):
    """The whole model, with the weights that make, scale and shift removed channels set to 0."""
    zeroed = keras.models.clone_model(model)
    zeroed.set_weights(model.get_weights())
    trace = trace_channels(read_graph(zeroed))
    kept = {group.name: np.array(group.kept) for group in plan.groups}
    stays = kept_classes(trace, find_groups(trace), kept)[trace.labels]
    for key, axes in trace.axes.items():
        for axis in axes:
            if axis.role != "takes" and axis.weight != "moving_variance":
                weight = next(weight for weight in trace.owners[key][1].weights if weight.name == axis.weight)
                value = np.moveaxis(keras.ops.convert_to_numpy(weight).copy(), axis.axis, -1)
                weight.assign(np.moveaxis(value * stays[axis.atoms], -1, axis.axis))
    return zeroed


def _widths(plan):
    return {group.name: len(group.kept) for group in plan.groups}


@pytest.mark.parametrize("name", NAMES)
def test_keeping_everything_gives_an_equal_model(made, name):
    model = made(name)
    plan = plan_channel_pruning(model, criterion="weight_norm", keep=1.0)
    whole = prune_channels(model, plan)
    assert plan.parameters_after == plan.parameters_before == model.count_params()
    np.testing.assert_array_equal(_run(whole, _images(model)), _run(model, _images(model)))


@pytest.mark.parametrize("name", NAMES)
def test_pruned_model_is_the_whole_one_with_removed_channels_at_zero(made, name):
    model = made(name)
    before = model.get_weights()
    plan = plan_channel_pruning(model, criterion="weight_norm", keep=0.5)
    pruned = prune_channels(model, plan)
    expected = _run(_with_removed_channels_at_zero(model, plan), _images(model))
    np.testing.assert_allclose(_run(pruned, _images(model)), expected, atol=2e-5 * np.abs(expected).max())
    assert np.abs(expected - _run(model, _images(model))).max() > 0.01 * np.abs(expected).max()
    assert pruned.count_params() == plan.parameters_after < 0.7 * plan.parameters_before
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_pruned_model_trains_saves_and_reloads(made, tmp_path):
    model = made("separable")
    pruned = prune_channels(model, plan_channel_pruning(model, keep=0.5, criterion="weight_norm"))
    pruned.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)
    pruned.fit(_images(model, 4) / 255, np.array([0, 1, 2, 3]), verbose=0)
    pruned.save(tmp_path / "pruned.keras")
    again = keras.saving.load_model(tmp_path / "pruned.keras")
    np.testing.assert_array_equal(_run(again, _images(model)), _run(pruned, _images(model)))
    assert {type(layer).__module__.split(".")[0] for layer in pruned.layers} == {"keras"}


def test_widths_are_multiples_of_eight_and_sixteen_at_least(made):
    plan = plan_channel_pruning(made("mobilenet_v2"), keep=0.3)
    for group in plan.groups:
        width = len(group.kept)
        assert width == group.width if group.width < 16 or group.pinned else width >= 16 and width % 8 == 0
    narrow = plan_channel_pruning(made("resnet8"), keep=0.3, widths=WidthRule(multiple_of=4, min_width=4))
    assert _widths(narrow)["stage1_block1_1_conv"] == 4


def test_added_channels_go_together(made):
    plan = plan_channel_pruning(made("resnet8"), keep=0.5)
    groups = {group.layers: group for group in plan.groups}
    assert ("stem_conv", "stage1_block1_2_conv") in groups
    assert {"stage3_block1_2_conv", "stage3_block1_shortcut_conv"} in [set(names) for names in groups]
    assert plan.pinned == (groups[("logits",)],)
    assert plan.pinned[0].pinned == "model output"


def test_squeeze_and_excite_gates_go_with_what_they_gate(made):
    groups = plan_channel_pruning(made("mobilenet_v3"), criterion="weight_norm", keep=0.5).groups
    gates = [group for group in groups if any(layer.endswith("squeeze_excite_conv_1") for layer in group.layers)]
    assert len(gates) == 9
    for group in gates:
        block = group.name.rsplit("_", 1)[0]
        assert f"{block}_depthwise" in group.layers or group.name == "conv"


def test_multiply_adds_are_those_of_the_layers():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(32, 3, padding="same", use_bias=False, name="first")(inputs)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", use_bias=False, name="deep")(x)
    model = _classifier(x, inputs)
    plan = plan_channel_pruning(model, criterion="weight_norm", keep=0.5)
    assert plan.multiply_adds_before == 64 * 27 * 32 + 16 * 9 * 32 + 32 * 5
    assert plan.multiply_adds_after == 64 * 27 * 16 + 16 * 9 * 16 + 16 * 5


def test_bn_scale_removes_the_channels_with_the_smallest_scales(made):
    model = keras.models.clone_model(made("resnet8"))
    scales = np.random.default_rng(0).permutation(np.linspace(0.1, 3.2, 32)) * np.where(np.arange(32) % 2, 1, -1)
    model.get_layer("stage2_block1_1_bn").gamma.assign(scales)
    plan = plan_channel_pruning(model, criterion="bn_scale", keep=0.5)
    kept = next(group.kept for group in plan.groups if group.name == "stage2_block1_1_conv")
    assert set(kept) == set(np.argsort(-np.abs(scales))[:16])


def test_loss_removes_the_channels_that_nothing_listens_to(made):
    model = keras.models.clone_model(made("flatten"))
    model.set_weights(made("flatten").get_weights())
    deaf = np.random.default_rng(1).permutation(48)[:24]
    kernel = keras.ops.convert_to_numpy(model.get_layer("logits").kernel).copy()
    kernel[deaf] = 0
    model.get_layer("hidden").bias.assign(np.full(48, 50.0))  # no other unit is silent
    model.get_layer("logits").kernel.assign(kernel)
    batches = [(_images(model, 8) / 255, np.arange(8) % 5)]
    plan = plan_channel_pruning(model, criterion="loss", keep=0.5, batches=batches)
    kept = next(group.kept for group in plan.groups if group.name == "hidden")
    assert set(kept) == set(range(48)) - set(deaf.tolist())
    weights = plan_channel_pruning(model, criterion="weight_norm", keep=0.5)
    assert next(group.kept for group in weights.groups if group.name == "hidden") != kept


@pytest.mark.parametrize(
    ("budget", "attribute"), [("parameters", "parameters_after"), ("multiply_adds", "multiply_adds_after")]
)
def test_global_budget_is_met_and_not_overshot(made, budget, attribute):
    model = made("mobilenet_v3")
    whole = getattr(plan_channel_pruning(model, keep=1.0), attribute)
    most = int(0.6 * whole)
    plan = plan_channel_pruning(model, **{f"max_{budget}": most})
    assert 0.95 * most < getattr(plan, attribute) <= most
    shares = [len(group.kept) / group.width for group in plan.groups if not group.pinned and group.width > 32]
    assert max(shares) - min(shares) > 0.1
    assert prune_channels(model, plan).count_params() == plan.parameters_after


def test_budget_out_of_reach_names_the_nearest(made):
    with pytest.raises(ModelError, match=r"max_parameters=100 cannot be met.*narrowest, [\d,]+ are left") as caught:
        plan_channel_pruning(made("resnet8"), max_parameters=100)
    nearest = int(str(caught.value).split("narrowest, ")[1].split(" ")[0].replace(",", ""))
    assert plan_channel_pruning(made("resnet8"), max_parameters=nearest).parameters_after == nearest


def test_all_faults_of_the_arguments_are_told_at_once(made):
    with pytest.raises(ModelError) as caught:
        plan_channel_pruning(made("resnet8"), criterion="magic", keep=1.5, max_parameters=0)
    for part in ("criterion must be one of", "exactly one of", "(0, 1]; got 1.5", "max_parameters must be positive"):
        assert part in str(caught.value)
    for wrong in (0.0, -1.0):
        with pytest.raises(ModelError, match=r"\(0, 1\]"):
            plan_channel_pruning(made("resnet8"), keep=wrong)
    with pytest.raises(ModelError, match="needs batches"):
        plan_channel_pruning(made("resnet8"), criterion="loss", keep=0.5)
    with pytest.raises(ModelError, match="got none"):
        plan_channel_pruning(made("resnet8"), criterion="loss", keep=0.5, batches=[])
    with pytest.raises(ModelError, match="needs profile"):
        plan_channel_pruning(made("resnet8"), max_latency_ms=1.0)


def test_criterion_that_sees_nothing_is_refused_with_the_reasons(made):
    with pytest.raises(ModelError, match="conv: bn_scale: no BatchNormalization with a scale") as caught:
        inputs = keras.Input((8, 8, 3))
        plan_channel_pruning(_classifier(layers.Conv2D(32, 3, name="conv")(inputs), inputs), keep=0.5)
    assert "weight_norm" in caught.value.hint


def test_model_without_free_channels_is_refused():
    inputs = keras.Input((8,))
    with pytest.raises(ModelError, match="logits: model output"):
        plan_channel_pruning(
            keras.Model(inputs, layers.Dense(3, name="logits")(inputs)), criterion="weight_norm", keep=0.5
        )


def test_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ModelError, match="subclass"):
        plan_channel_pruning(Own(), keep=0.5)


def test_open_image_size_is_refused():
    inputs = keras.Input((None, None, 3))
    with pytest.raises(ModelError, match="is open"):
        plan_channel_pruning(_classifier(layers.Conv2D(32, 3)(inputs), inputs), criterion="weight_norm", keep=0.5)


def test_layers_that_are_not_known_keep_their_channels_and_say_why():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(32, 3, padding="same", name="before")(inputs)
    x = layers.Conv2D(64, 3, groups=2, padding="same", name="grouped")(x)
    x = layers.Conv2D(32, 1, name="after")(x)
    x = layers.GroupNormalization(4, name="normalised")(layers.Conv2D(40, 1, name="into")(x))
    x = layers.Permute((3, 1, 2), name="moved")(layers.Conv2D(48, 1, name="beside")(x))
    model = _classifier(x, inputs)
    plan = plan_channel_pruning(model, criterion="weight_norm", keep=0.5)
    reasons = {group.name: group.pinned for group in plan.groups}
    assert reasons["before"] == "grouped: it is a convolution in 2 groups"
    assert reasons["into"] == "normalised: GroupNormalization is not known"
    assert reasons["beside"] == "moved: it moves the channels to another axis"
    assert _widths(plan)["after"] == 16
    pruned = prune_channels(model, plan)
    assert pruned.get_layer("grouped").filters == 64
    assert pruned.count_params() == plan.parameters_after


def test_lambda_layer_is_refused_by_name():
    inputs = keras.Input((8, 8, 3))
    turned = layers.Lambda(lambda tensor: tensor[..., ::-1], name="turned")(layers.Conv2D(32, 3)(inputs))
    with pytest.raises(ModelError, match="turned"):
        plan_channel_pruning(_classifier(turned, inputs), criterion="weight_norm", keep=0.5)


def test_plan_for_another_model_is_refused(made):
    plan = plan_channel_pruning(made("flatten"), criterion="weight_norm", keep=0.5)
    with pytest.raises(ModelError, match="is not for model"):
        prune_channels(made("resnet8"), plan)


class _Operator:
    def __init__(self, name, output_shape, milliseconds):
        self.name, self.output_shape, self.milliseconds = name, output_shape, milliseconds


class _Profile:
    beside_ms = 0.5

    def __init__(self, *operators):
        self.operators = operators


def test_latency_follows_multiply_adds_of_convolutions_and_bytes_of_the_rest():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(64, 3, padding="same", name="first")(inputs)
    x = layers.Conv2D(64, 3, padding="same", name="second")(layers.ReLU()(x))
    plan = plan_channel_pruning(_classifier(x, inputs), criterion="weight_norm", keep=0.5)
    profile = _Profile(
        _Operator("QUANTIZE", (1, 8, 8, 3), 1.0),
        _Operator("CONV_2D", (1, 8, 8, 64), 10.0),
        _Operator("HARD_SWISH", (1, 8, 8, 64), 2.0),
        _Operator("CONV_2D", (1, 8, 8, 64), 100.0),
        _Operator("FULLY_CONNECTED", (1, 5), 4.0),
    )
    predicted = predict_latency(profile, before=plan.costs_before, after=plan.costs_after)
    assert predicted == pytest.approx(0.5 + 1.0 + 10.0 / 2 + 2.0 / 2 + 100.0 / 4 + 4.0 / 2)
    within = plan_channel_pruning(_classifier(x, inputs), criterion="weight_norm", max_latency_ms=60, profile=profile)
    assert predict_latency(profile, before=within.costs_before, after=within.costs_after) <= 60
    with pytest.raises(ModelError, match="max_latency_ms=1"):
        plan_channel_pruning(_classifier(x, inputs), criterion="weight_norm", max_latency_ms=1, profile=profile)


@pytest.mark.slow
def test_the_size_of_a_pruned_mobilenet_is_as_predicted_and_its_time_less(tmp_path):
    """How near the predicted time comes is measured by `tests/benchmarks/channel_pruning.py`."""
    # Of higher rooms: a caller exports and measures, and gives the times to the prediction.
    from tfkit.artifacts import ImageSpec
    from tfkit.benchmarking.op_profile import profile_operators
    from tfkit.exporters import export_tflite

    keras.utils.set_random_seed(0)
    model = _as_if_trained(_nested(applications.MobileNetV2((224, 224, 3), weights=None, include_top=False)))
    pixels = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), np.uint8)

    def export(model, name):
        path = tmp_path / name
        image, names = ImageSpec(height=224, width=224), tuple("abcde")
        softmax = keras.Model(model.inputs, layers.Softmax()(model.outputs[0]))
        export_tflite(softmax, path, quantization="int8", spec=image, class_names=names, calibration=pixels)
        return path

    plan = plan_channel_pruning(model, criterion="weight_norm", keep=0.5)
    whole, pruned = export(model, "whole.tflite"), export(prune_channels(model, plan), "pruned.tflite")
    profile = profile_operators(whole)
    predicted = predict_latency(profile, before=plan.costs_before, after=plan.costs_after)
    size = predict_bytes(whole.stat().st_size, before=plan.costs_before, after=plan.costs_after)
    assert size == pytest.approx(pruned.stat().st_size, rel=0.05)
    unpruned = predict_latency(profile, before=plan.costs_before, after=plan.costs_before)
    assert 0.2 * unpruned < predicted < 0.8 * unpruned  # a share of one profile, whatever the machine does meanwhile
