"""What is refused, and in which words."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tfkit.artifacts import Artifact, ImageSpec, ModelSignature
from tfkit.runtimes import Portability
from tfkit.tasks import Quality
from tfkit.verification import AcceptancePolicy, ArtifactVerification, refusals


@pytest.fixture
def good(tmp_path):
    return _verification(tmp_path / "model_int8.tflite")


def _verification(path: Path) -> ArtifactVerification:
    path.write_bytes(b"x" * 1000)
    artifact = Artifact(
        path=path,
        format="tflite",
        quantization="int8",
        signature=ModelSignature(inputs=(), outputs=()),
        input=ImageSpec(height=8, width=8),
        class_names=("a", "b"),
        made_by="a test",
    )
    return ArtifactVerification(
        artifact=artifact,
        examples=200,
        quality=Quality({"accuracy": 0.95}),
        chance=0.5,
        agreement=0.99,
        max_difference=0.05,
        mean_difference=0.01,
        float_ops=0,
        operators={"CONV_2D": 9},
        problems=(),
        scores=np.zeros((200, 2), np.float32),
    )


def _refusals(verification, p95=None, keras_accuracy=0.95, float_accuracy=None, **policy):
    compared = {"keras_accuracy": keras_accuracy, "float_accuracy": float_accuracy}
    return refusals(verification, p95, policy=AcceptancePolicy(**policy), **compared)


def test_good_file_is_accepted(good):
    assert _refusals(good, p95=1.0, max_bytes=1000, max_latency_ms_p95=1.0) == ()


def test_drop_of_exactly_the_limit_is_accepted(good):
    assert _refusals(good, keras_accuracy=0.96, max_accuracy_drop=0.01) == ()


def test_accuracy_drop_is_refused_with_file_figure_and_limit(good):
    assert _refusals(good, keras_accuracy=0.975) == (
        "model_int8.tflite: accuracy 0.9500 is 2.50 points below Keras's 0.9750; "
        "acceptance.max_accuracy_drop allows 1.00.",
    )


def test_every_broken_limit_is_told(good):
    bad = dataclasses.replace(good, agreement=0.9, float_ops=2, problems=("it needs Flex",))
    told = _refusals(bad, p95=20.0, max_bytes=999, max_latency_ms_p95=10.0)
    assert len(told) == 5
    assert "it needs Flex" in told[0]
    assert "agrees with Keras on 0.9000 of 200 images; acceptance.min_agreement asks for 0.9800" in told[1]
    assert "1,000 bytes; acceptance.max_bytes allows 999" in told[2]
    assert "2 of its 9 operators compute in float" in told[3]
    assert "p95 is 20.00 ms; acceptance.max_latency_ms_p95 allows 10.00" in told[4]


def test_what_was_not_measured_is_not_refused(good):
    unknown = dataclasses.replace(good, quality=None, agreement=None)
    assert unknown.accuracy is None
    assert _refusals(unknown, keras_accuracy=None, max_latency_ms_p95=0.1) == ()


def test_float_operators_of_a_float_file_are_no_fault(good):
    floats = dataclasses.replace(good, float_ops=9, artifact=dataclasses.replace(good.artifact, quantization="float16"))
    assert _refusals(floats) == ()


def test_what_compression_cost_counts_though_the_file_is_faithful(good):
    (reason,) = _refusals(good, keras_accuracy=0.95, float_accuracy=0.975)

    assert "accuracy 0.9500 is 2.50 points below the float model's 0.9750" in reason
    assert "acceptance.max_accuracy_drop allows 1.00" in reason
    assert _refusals(good, keras_accuracy=0.95, float_accuracy=0.96) == ()


def test_a_file_that_the_oldest_phone_cannot_read_is_refused(good):
    newer = dataclasses.replace(good, portability=Portability("2.17.0", ()))

    (reason,) = _refusals(newer, min_runtime="2.14")

    assert "needs a TensorFlow Lite runtime of 2.17.0 or later; acceptance.min_runtime is 2.14" in reason
    assert _refusals(newer, min_runtime="2.17") == _refusals(good, min_runtime="2.1") == ()
