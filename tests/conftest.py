"""What several rooms' tests share: an image classifier and a text classifier small enough to export in a second."""

import os
import signal
import sys
import time

import numpy as np
import pytest

from tfkit.artifacts import ImageSpec

# With --dist loadfile a file's tests stay in one process, but for those of these, which share nothing.
_SHARED_OUT = (
    "tests/exporters/test_exact_operators.py",
    "tests/fuzz/test_random_networks.py",
    "tests/models/test_hub_image_backbones.py",
    "tests/recipes/test_full_disk.py",
    "tests/recipes/test_interruption.py",
    "tests/recipes/test_killed_runs.py",
    "tests/recipes/test_shipped_files.py",
    "tests/recipes/test_text_student.py",
    "tests/tasks/test_conformance.py",
)
# xdist begins with what has the most tests. These take minutes each, and are begun before: else one worker has them
# at the end while the others have nothing left.
_BEGUN_FIRST = (
    "tests/recipes/test_shipped_files.py::test_every_command_of_readme_and_guides_that_needs_no_network_works",
    "tests/recipes/test_killed_runs.py",
    "tests/recipes/test_text_student.py",
    "tests/test_notebooks.py",
)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Let all workers take their part of a long file, and the longest parts first."""
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return nodeid if nodeid.startswith(_SHARED_OUT) else super()._split_scope(nodeid)

        def _assign_work_unit(self, node):
            first = next((scope for scope in self.workqueue if scope.startswith(_BEGUN_FIRST)), None)
            if first is not None:
                self.workqueue.move_to_end(first, last=False)
            super()._assign_work_unit(node)

    return Scheduling(config, log)


def pytest_runtest_setup(item):
    """TFKIT_SLOW_UNTIL (seconds since 1970): slow tests that would begin later are skipped, and say so."""
    until = os.environ.get("TFKIT_SLOW_UNTIL")
    if until and item.get_closest_marker("slow") and time.time() > float(until):
        pytest.skip("not run: the time that this machine has for slow tests is over (TFKIT_SLOW_UNTIL)")


def _seed():
    if "keras" in sys.modules:  # the command line's tests run without it
        sys.modules["keras"].utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    """What is asked about a check is its first time; the user's cache folder is left alone."""
    monkeypatch.setenv("TFKIT_CACHE", "off")


@pytest.fixture(autouse=True, scope="module")
def seeded_module():
    """What a file's tests share draws the same numbers, whichever file was before it in this process."""
    _seed()


@pytest.fixture(autouse=True)
def seeded():
    """So does every test."""
    _seed()


@pytest.fixture(scope="session")
def image():
    return ImageSpec(height=32, width=32)


@pytest.fixture(scope="session")
def class_names():
    return ("ant", "bee", "cat", "dog", "elk")


@pytest.fixture(scope="session")
def small_classifier(image, class_names):
    """Raw pixels -> preprocessing -> nested backbone with BatchNorm -> pooling -> logits -> softmax, untrained."""
    import keras  # not at the top: the command line's tests must not wait for TensorFlow

    keras.utils.set_random_seed(0)
    features = keras.Input((16, 16, 16))
    inner = keras.layers.Conv2D(16, 3, padding="same", use_bias=False, name="inner")(features)
    normed = keras.layers.BatchNormalization()(inner)
    backbone = keras.Model(features, keras.layers.ReLU()(normed), name="backbone")
    pixels = keras.Input(image.shape, name="pixels")
    rescaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    stem = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="stem")(rescaled)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone(stem))
    logits = keras.layers.Dense(len(class_names), name="logits")(keras.layers.Dropout(0.2)(pooled))
    return keras.Model(pixels, keras.layers.Softmax(name="scores")(logits))


@pytest.fixture(scope="session")
def small_text_classifier():
    """Token ids -> keras-hub's BERT (2 layers, hidden 32, vocabulary 100) -> masked mean -> softmax over 3 classes."""
    import keras
    import keras_hub

    keras.utils.set_random_seed(0)
    encoder = keras_hub.models.BertBackbone(
        vocabulary_size=100,
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        intermediate_dim=64,
        max_sequence_length=16,
        name="encoder",
    )
    rng = np.random.default_rng(0)
    for weight in encoder.weights:  # as uneven as a trained encoder's
        wide = weight.path.endswith(("kernel", "embeddings"))
        weight.assign(weight.numpy() * 6 if wide else weight.numpy() + rng.normal(0, 0.1, weight.shape))
    inputs = {name: keras.Input((None,), dtype="int32", name=name) for name in ("token_ids", "padding_mask")}
    sequence = encoder(inputs | {"segment_ids": keras.ops.zeros_like(inputs["token_ids"])})["sequence_output"]
    pooled = keras.layers.GlobalAveragePooling1D(name="mean")(sequence, mask=inputs["padding_mask"])
    logits = keras.layers.Dense(3, name="logits")(keras.layers.Dropout(0.1)(pooled))
    model = keras.Model(inputs, keras.layers.Softmax(name="scores")(logits), name="small_text_classifier")
    model.get_layer("logits").kernel.assign(rng.normal(0, 1.5, (32, 3)))
    return model


@pytest.fixture(scope="session")
def short_texts():
    """int32 ids and mask (64, 8): 3 to 8 tokens, then padding."""
    rng = np.random.default_rng(1)
    mask = (np.arange(8) < rng.integers(3, 9, (64, 1))).astype(np.int32)
    return {"token_ids": rng.integers(1, 100, mask.shape).astype(np.int32) * mask, "padding_mask": mask}


@pytest.fixture(scope="session")
def random_pixels(image):
    """uint8 (40, 32, 32, 3)."""
    return np.random.default_rng(0).integers(0, 256, (40, *image.shape), dtype=np.uint8)


@pytest.fixture
def ctrl_c_is_heard():
    """A shell that started the tests in the background has SIGINT ignored, for its children too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
