"""Inputs say what they are; a made-up one, a table, is exported, proved and timed without a line of tfkit."""

import json
from dataclasses import asdict, dataclass, replace
from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfkit import inputs
from tfkit.artifacts import (
    Artifact,
    ImageSpec,
    InputSpec,
    ModelSignature,
    TensorSpec,
    TextSpec,
    format_label,
    read_manifest,
    write_manifest,
)
from tfkit.artifacts.artifact import SPECS
from tfkit.benchmarking import measure_latency, noise
from tfkit.compression import QuantizationPolicy, quantize_aware, settle_biases
from tfkit.compression.channels import WidthRule, plan_channel_pruning, prune_channels_restored
from tfkit.data import ArraySource, ImageExamples, calibration_pixels, evaluation_batches, load_image_splits
from tfkit.errors import ExportError
from tfkit.exporters import export_formats, export_tflite, rehearse_export
from tfkit.inputs import (
    FileDescription,
    Input,
    Prose,
    Reading,
    Serving,
    TensorDescription,
    calibration_inputs,
    input_batches,
    input_of,
    named_batches,
)
from tfkit.runtimes import KerasRuntime, open_runtime
from tfkit.training import Optimization, train_batches
from tfkit.verification import AcceptancePolicy, reference_scores, refusals, verify_artifact, write_golden_samples

CLASSES = ("healthy", "ill")
FORMATS = ("saved_model", "tflite_float32", "tflite_float16", "tflite_dynamic_int8", "tflite_int8")


@dataclass(frozen=True)
class TableSpec(InputSpec):
    """So many columns of numbers."""

    manifest_key: ClassVar[str] = "table"
    columns: int

    def fault(self):
        return None if self.columns > 0 else "takes rows of nothing"


@dataclass(frozen=True, eq=False)
class TableExamples:
    """Labelled rows."""

    rows: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    class_names: tuple[str, ...] = CLASSES

    def __len__(self):
        return len(self.rows)

    def select(self, positions):
        names = tuple(self.names[position] for position in positions)
        return TableExamples(self.rows[positions], self.labels[positions], names, self.class_names)

    def class_counts(self):
        return {name: int(np.sum(self.labels == place)) for place, name in enumerate(self.class_names)}


def _tensors(table):
    return (TensorSpec("numbers", (None, table.columns), "float32"),)


def _read(path):
    read = np.load(path)
    return TableExamples(read["rows"], read["labels"], tuple(f"row {number}" for number in range(len(read["rows"]))))


def _batches(examples, table, batch_size, on_host):
    for start in range(0, len(examples), batch_size):
        yield {"numbers": examples.rows[start : start + batch_size]}


TABLES = Input(
    spec=TableSpec,
    noun="row",
    holds="numbers",
    doubts="the order or the units of the columns",
    labelled=lambda path, table, reading: _read(path),
    fed_on_host=True,
    shown=lambda examples, table: [", ".join(f"{value:.2f}" for value in row) for row in examples.rows],
    told=lambda table: f"{table.columns} numbers",
    explained=lambda table: f"rows of {table.columns} numbers.",
    document=asdict,
    prose=Prose("row", "odd rows", "a row of", "rows of", "measured", "hold", "tell of", "in them", "the lab.", ""),
    tensors=_tensors,
    faults=lambda model, table: [] if model.input_shape == (None, table.columns) else [f"it takes {model.input_shape}"],
    batches=_batches,
    noise=lambda table, count: {"numbers": np.random.default_rng(0).normal(size=(count, table.columns)).astype("f4")},
    serving=lambda table: Serving(_tensors(table)),
    described=lambda table: FileDescription({"numbers": TensorDescription("numbers", "A row of measurements")}),
)


@pytest.fixture
def tables(monkeypatch):
    """Tables among tfkit's inputs, as their places in `INPUTS` and `SPECS` would put them there."""
    monkeypatch.setattr(inputs, "INPUTS", (*inputs.INPUTS, TABLES))
    monkeypatch.setattr("tfkit.artifacts.artifact.SPECS", (*SPECS, TableSpec))


@pytest.fixture
def examples(tables, tmp_path):
    """40 rows of 6 numbers, read from a file."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 6)).astype(np.float32)
    np.savez(tmp_path / "table.npz", rows=rows, labels=(rows[:, 0] > 0).astype(np.int32))
    return input_of(TableSpec(6)).labelled(tmp_path / "table.npz", TableSpec(6), Reading())


@pytest.fixture
def model():
    numbers = keras.Input((6,), name="numbers")
    hidden = keras.layers.Dense(16, activation="relu")(numbers)
    return keras.Model(numbers, keras.layers.Dense(2, activation="softmax")(hidden), name="table_classifier")


def test_a_made_up_input_is_exported_verified_timed_and_kept(tables, examples, model, tmp_path):
    spec = TableSpec(6)
    folder = tmp_path / "artifacts"
    artifacts = export_formats(
        model, FORMATS, folder, spec=spec, class_names=CLASSES, calibration={"numbers": examples.rows}
    )
    reference = reference_scores(model, examples, spec)
    verifications = []
    for artifact in artifacts:
        with open_runtime(artifact) as runtime:
            found = verify_artifact(artifact, examples, reference=reference, runtime=runtime)
            latency = measure_latency(runtime, noise(spec), max_seconds=0.1)
        assert found.problems == () and latency.measures.endswith(("one row", "one example", "the SavedModel"))
        loose = artifact.quantization in ("dynamic_int8", "int8")
        assert found.max_difference < (0.1 if loose else 2e-3), format_label(artifact.format, artifact.quantization)
        told = refusals(found, latency.latency_ms_p95, keras_accuracy=None, policy=AcceptancePolicy(min_agreement=1.01))
        assert "of 40 rows" in told[-1]
        verifications.append(found)
    golden = json.loads(write_golden_samples(verifications, examples, tmp_path / "golden", spec=spec).read_text())
    assert [set(row) for row in golden["rows"]] == [{"name", "label"}] * 8
    kept = np.load(tmp_path / "golden" / "inputs.npz")
    expected = np.load(tmp_path / "golden" / "expected_model_float32.npz")["scores"]
    with KerasRuntime(model) as runtime:
        np.testing.assert_allclose(runtime.scores({"numbers": kept["numbers"]}), expected, atol=1e-5)
    assert "calibrated on 40 training rows" in artifacts[-1].made_by
    assert read_manifest(folder) == tuple(replace(made, layers=()) for made in artifacts)
    with open_runtime(read_manifest(folder)[-1]) as runtime:
        assert verify_artifact(artifacts[-1], examples, reference=reference, runtime=runtime).problems == ()


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ('"columns": 6', '"columns": "6"', "table of 'model.tflite': columns: Input should be a valid integer"),
        ('"columns": 6', '"columns": 0', "'model.tflite' takes rows of nothing"),
        (
            '"table": {',
            '"chair": {',
            "must say image or text or history or prompt or table, one of them; it says chair",
        ),
        ('"table": {', '"image": {"height": 8, "width": 8}, "table": {', "one of them; it says image, table"),
    ],
)
def test_what_a_manifest_may_not_say_of_a_made_up_input_is_told(tables, tmp_path, was, now, told):
    (tmp_path / "model.tflite").write_bytes(b"1")
    signature = ModelSignature((TensorSpec("numbers", (1, 6), "float32"),), (TensorSpec("scores", (1, 2), "float32"),))
    made = Artifact(tmp_path / "model.tflite", "tflite", "none", signature, TableSpec(6), CLASSES, "by a test")
    manifest = write_manifest((made,), tmp_path)
    assert read_manifest(tmp_path) == (made,)
    manifest.write_text(manifest.read_text().replace(was, now, 1))
    with pytest.raises(ExportError, match=f"is not a tfkit manifest: .*{told}"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["numbers", "measured"])
def test_a_made_up_input_is_trained_quantisation_aware(tables, examples, name):
    spec, targets = TableSpec(6), np.eye(2, dtype=np.float32)[examples.labels]
    batches = tf.data.Dataset.from_tensor_slices((examples.rows, targets)).batch(8)
    numbers = keras.Input((6,), name=name)
    logits = keras.layers.Dense(2)(keras.layers.Dense(16, activation="relu")(numbers))
    student = quantize_aware(
        keras.Model(numbers, keras.layers.Softmax(name="scores")(logits)), calibration_inputs(examples, spec)
    )
    plan = Optimization(epochs=8, learning_rate=0.05)
    history = train_batches(
        student, named_batches(batches, spec), None, optimization=plan, steps_per_epoch=len(batches)
    ).history
    assert history["loss"][-1] < history["loss"][0] / 2


def test_a_made_up_input_is_refused_where_the_model_takes_another(tables, model, tmp_path):
    with pytest.raises(ExportError, match=r"cannot be exported: it takes \(None, 6\)"):
        export_formats(model, ["tflite_float32"], tmp_path, spec=TableSpec(5), class_names=CLASSES)
    with pytest.raises(ExportError, match="int8 needs calibration rows; got none"):
        export_formats(model, ["tflite_int8"], tmp_path, spec=TableSpec(6), class_names=CLASSES)
    with pytest.raises(ExportError, match=r"calibration rows must be float32 \(n, 6\); got float32 \(3, 5\)"):
        few = {"numbers": np.zeros((3, 5), np.float32)}
        export_formats(model, ["tflite_int8"], tmp_path, spec=TableSpec(6), class_names=CLASSES, calibration=few)


def test_a_made_up_input_is_rehearsed(tables, examples, model):
    options = {"spec": TableSpec(6), "class_names": CLASSES, "samples": {"numbers": examples.rows[:4]}}
    rehearse_export(model, list(FORMATS), **options)
    with pytest.raises(ExportError, match="takes float inputs for pixels; the model takes rows"):
        rehearse_export(model, ["tflite_int8"], quantization=QuantizationPolicy(), **options)


def test_pixels_are_fed_by_name_or_bare(small_classifier, image, random_pixels):
    with KerasRuntime(small_classifier) as runtime:
        np.testing.assert_array_equal(runtime.scores({"pixels": random_pixels}), runtime.scores(random_pixels))


def test_batches_are_arrays_by_name_in_the_examples_order(image, random_pixels):
    source = ArraySource(random_pixels, channels=3)
    names = tuple(map(str, range(40)))
    examples = ImageExamples(source, np.arange(40)[::-1], np.zeros(40, np.int32), names, ("one",))
    batches = list(input_batches(examples, image, batch_size=16))
    assert [list(batch) for batch in batches] == [["pixels"]] * 3
    np.testing.assert_array_equal(np.concatenate([batch["pixels"] for batch in batches]), random_pixels[::-1])


@pytest.mark.parametrize("spec", [ImageSpec(8, 8, 1), TextSpec(16, "tokenizer")])
def test_noise_fits_what_a_model_takes(spec):
    taken = input_of(spec)
    fed = taken.noise(spec, 3)
    assert {name: values.shape for name, values in fed.items()} == {
        tensor.name: (3, *tensor.shape[1:]) for tensor in taken.tensors(spec)
    }


def test_pixels_by_name_calibrate_and_quantise_as_bare_ones(
    small_classifier, image, class_names, random_pixels, tmp_path
):
    options = {"quantization": "int8", "spec": image, "class_names": class_names}
    made = []
    for number, pixels in enumerate((random_pixels[:8], {"pixels": random_pixels[:8]})):
        student = quantize_aware(small_classifier, pixels, policy=QuantizationPolicy())
        settle_biases(student)
        for name, model in (("calibrated", small_classifier), ("trained", student)):
            export_tflite(model, tmp_path / f"{name}_{number}.tflite", calibration=pixels, **options)
        made.append([(tmp_path / f"{name}_{number}.tflite").read_bytes() for name in ("calibrated", "trained")])
    assert made[0] == made[1]


def test_calibration_takes_arrays_by_name_as_many_of_each_class(tables, examples):
    numbers = calibration_inputs(examples, TableSpec(6), count=10, seed=1)["numbers"]
    assert numbers.shape == (10, 6) and int((numbers[:, 0] > 0).sum()) == 5
    splits, image = load_image_splits(source="digits", channels=1, labels_per_class=8), ImageSpec(8, 8, 1)
    pixels = calibration_inputs(splits.train, image, count=20, seed=2)["pixels"]
    np.testing.assert_array_equal(pixels, calibration_pixels(splits.train, image, count=20, seed=2))


def _trained(name, batches):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((8, 8, 1), name=name)
    logits = keras.layers.Dense(10)(keras.layers.Flatten()(pixels))
    model = keras.Model(pixels, keras.layers.Softmax(name="scores")(logits))
    plan = Optimization(epochs=1, learning_rate=0.01)
    history = train_batches(model, batches, batches, optimization=plan, steps_per_epoch=len(batches)).history
    return history["val_loss"], model.get_weights()


def test_batches_by_name_train_a_model_whose_input_has_any_name():
    splits, image = load_image_splits(source="digits", channels=1, labels_per_class=8), ImageSpec(8, 8, 1)
    bare = evaluation_batches(splits.train, image, batch_size=16)
    named = named_batches(bare, image)
    assert named.cardinality() == bare.cardinality() and set(next(iter(named))[0]) == {"pixels"}
    wanted, *found = (_trained(*given) for given in (("pixels", bare), ("pixels", named), (None, named)))
    for loss, weights in found:
        assert loss == wanted[0]
        for mine, theirs in zip(weights, wanted[1], strict=True):
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("name", ["pixels", "photo"])
def test_channels_are_pruned_alike_on_pixels_by_name(name):
    keras.utils.set_random_seed(0)
    pixels = keras.Input((16, 16, 3), name=name)
    x = keras.layers.ReLU()(keras.layers.Conv2D(16, 3)(pixels))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(16, 3, activation="relu")(x))
    model = keras.Model(pixels, keras.layers.Dense(3, "softmax")(pooled))
    images = np.random.default_rng(0).integers(0, 256, (12, 16, 16, 3)).astype(np.float32)
    made = []
    for given in (images, {"pixels": images}):
        batches = [(given, np.arange(12) % 3)]
        plan = plan_channel_pruning(
            model, criterion="loss", keep=0.5, batches=batches, widths=WidthRule(4, min_width=4)
        )
        made.append(prune_channels_restored(model, plan, given).get_weights())
    for bare, named in zip(*made, strict=True):
        np.testing.assert_array_equal(bare, named)
