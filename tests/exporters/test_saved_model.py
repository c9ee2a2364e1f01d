"""SavedModels: encoded images in, labels and scores out, loaded by a process that never saw the model."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from tfkit.data import decode_image, fit_image
from tfkit.errors import ExportError, RunError
from tfkit.exporters import export_saved_model
from tfkit.runtimes import KerasRuntime, SavedModelRuntime


@pytest.fixture(scope="module")
def artifact(small_classifier, image, class_names, tmp_path_factory):
    directory = tmp_path_factory.mktemp("export") / "saved_model"
    return export_saved_model(small_classifier, directory, spec=image, class_names=class_names)


def test_saved_model_lies_in_version_folder_1(artifact):
    assert artifact.path.name == "1"
    assert [path.name for path in artifact.path.parent.iterdir()] == ["1"]
    assert (artifact.path / "saved_model.pb").is_file()


@pytest.mark.slow
def test_encoded_images_of_any_size_are_decoded_and_fitted_as_in_training(artifact, small_classifier, image):
    drawn = np.random.default_rng(1).integers(0, 256, (2, 50, 70, 3), dtype=np.uint8)
    encoded = [tf.io.encode_jpeg(drawn[0]).numpy(), tf.io.encode_png(drawn[1, :20]).numpy()]
    fitted = np.stack([fit_image(decode_image(content, channels=3), image).numpy() for content in encoded])

    with SavedModelRuntime(artifact.path) as runtime:
        served, predicted = runtime.scores_from_encoded(encoded), runtime.scores(fitted)

    np.testing.assert_allclose(served, KerasRuntime(small_classifier).scores(fitted), atol=1e-6)
    np.testing.assert_allclose(predicted, served, atol=1e-6)


def test_label_is_the_name_of_the_highest_score(artifact, small_classifier, class_names, random_pixels):
    served = tf.saved_model.load(str(artifact.path)).signatures["serving_default"]
    answer = served(image_bytes=tf.constant([tf.io.encode_png(pixels).numpy() for pixels in random_pixels[:3]]))
    top = KerasRuntime(small_classifier).scores(random_pixels[:3]).argmax(axis=1)
    assert [label.decode() for label in answer["labels"].numpy()] == [class_names[index] for index in top]


def test_saved_model_needs_only_core_operators(artifact):
    saved = SavedModel.FromString((artifact.path / "saved_model.pb").read_bytes())
    graph = saved.meta_graphs[0].graph_def
    operators = {node.op for function in graph.library.function for node in function.node_def}
    assert "DecodeImage" in operators
    assert not operators & {"PyFunc", "EagerPyFunc", "PyFuncStateless"}


def test_existing_version_is_never_overwritten(artifact, small_classifier, image, class_names):
    with pytest.raises(ExportError, match="exists already"):
        export_saved_model(small_classifier, artifact.path.parent, spec=image, class_names=class_names)


def test_full_disk_is_told_and_leaves_no_half_model(small_classifier, image, class_names, limited_file_size, tmp_path):
    with limited_file_size(4096), pytest.raises(RunError, match=r"cannot write '.*/saved_model/1': File too large$"):
        export_saved_model(small_classifier, tmp_path / "saved_model", spec=image, class_names=class_names)
    assert list((tmp_path / "saved_model").iterdir()) == []


def test_one_score_of_one_class_is_refused(image, tmp_path):
    pixels = keras.Input(image.shape)
    x = keras.layers.GlobalAveragePooling2D()(pixels)
    model = keras.Model(pixels, keras.layers.Dense(1, activation="sigmoid")(x))
    with pytest.raises(ExportError, match="every answer would be 'bee'") as refusal:
        export_saved_model(model, tmp_path, spec=image, class_names=("bee",))
    assert "with_two_scores" in refusal.value.hint
    with pytest.raises(ExportError, match="expected scores of 2 classes") as refusal:
        export_saved_model(model, tmp_path, spec=image, class_names=("ant", "bee"))
    assert "with_two_scores" in refusal.value.hint
