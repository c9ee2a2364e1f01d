"""Pictures in TensorBoard."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfkit.reports import RunReport, write_tensorboard_images

MakeReport = Callable[..., RunReport]
Pixels = Callable[[np.ndarray], np.ndarray]


def pictures(folder: Path) -> dict[str, list[tuple[int, int, int]]]:
    """Read the written pictures back: tag to (step, height, width)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util import tensor_util

    events = EventAccumulator(str(folder))
    events.Reload()
    read = {}
    for tag in events.Tags()["tensors"]:
        read[tag] = [
            (event.step, *(int(side) for side in tensor_util.make_ndarray(event.tensor_proto)[:2]))
            for event in events.Tensors(tag)
        ]
    return read


def test_what_the_model_sees_confuses_and_mistakes_is_written_at_the_step(
    make_report: MakeReport, pixels: Pixels, tmp_path: Path
) -> None:
    seen = np.random.default_rng(0).uniform(-20, 280, (20, 32, 32, 3)).astype(np.float32)

    write_tensorboard_images(
        tmp_path,
        seen=seen,
        seen_labels=["daisy"] * 20,
        evaluation=make_report(12).evaluation,
        misclassified_pixels=pixels,
        step=7,
    )

    written = pictures(tmp_path)
    assert set(written) == {"training images as the model sees them", "confusion matrix", "most confident mistakes"}
    assert {step for entries in written.values() for step, *_ in entries} == {7}
    assert all(width > 300 for entries in written.values() for _, width, _ in entries)


def test_grey_images_and_a_perfect_model_need_no_mistakes(make_report: MakeReport, tmp_path: Path) -> None:
    def never(positions: np.ndarray) -> np.ndarray:
        raise AssertionError("no pixels are needed")

    write_tensorboard_images(
        tmp_path,
        seen=np.zeros((3, 8, 8, 1), np.uint8),
        seen_labels=["0", "1", "2"],
        evaluation=make_report(12, accuracy=1.0).evaluation,
        misclassified_pixels=never,
        step=1,
    )

    assert set(pictures(tmp_path)) == {"training images as the model sees them", "confusion matrix"}
