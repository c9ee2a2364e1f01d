"""What the reports tell about pruning, quantisation-aware training and distillation."""

import html as html_text
import json
import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tfkit.artifacts import LayerDifference
from tfkit.compression import LayerCoverage, grouped_coverage
from tfkit.compression.channels import PlannedGroup
from tfkit.compression.pruning import LayerSparsity, SparsityReport
from tfkit.reports import Compression, RunReport, StageSummary
from tfkit.reports.files import render_model_card, report_document
from tfkit.reports.page import render_page
from tfkit.stages import ChannelPruning

MakeReport = Callable[..., RunReport]
Pixels = Callable[[np.ndarray], np.ndarray]


def coverage(blocks: int = 48) -> tuple[LayerCoverage, ...]:
    """The rows of a deep network: four for each block, one layer left in float."""
    rows = [LayerCoverage("preprocessing", "Rescaling", "input", "int8", "scales pixels: part of the input's scale")]
    for block in range(blocks):
        name = f"block_{block}"
        rows += [
            LayerCoverage(f"{name}_conv", "Conv2D", "kernel", "int8", f"'{name}_bn' is folded into its kernel"),
            LayerCoverage(
                f"{name}_bn",
                "BatchNormalization",
                "affine",
                "int8",
                f"rounded after '{name}_relu', which runs inside it",
            ),
            LayerCoverage(f"{name}_relu", "ReLU", "activation", "int8", "rounded to a range of its own"),
            LayerCoverage(f"{name}_dropout", "Dropout", "absent", "-", "not in an exported model"),
        ]
    return (*rows, LayerCoverage("logits", "Dense", "float", "float32", "left in float: skip"))


def compressed(report: RunReport) -> RunReport:
    """A run with everything that compression can do."""
    random = np.random.default_rng(0)
    layers = tuple(
        LayerDifference(f"block_{number}_relu_quantizer", "CONV_2D", mean, 6 * mean + 1, 0.002 * number)
        for number, mean in enumerate(random.gamma(2, 0.08, 49))
    )
    worst = replace(layers[30], mean_steps=1.4, worst_steps=9.0)
    integer = {"layers": (*layers[:30], worst, *layers[31:]), "stored_weights": 2_200_000, "stored_zeros": 1_771_000}
    files = tuple(
        replace(file, **integer, deflated_bytes=1_204_000) if file.quantization == "int8" else file
        for file in report.artifacts
    )
    zeros = tuple(
        LayerSparsity(f"block_{number}_conv", "CompressedConv2D", 40_000, 32_400, None if number == 0 else 32_000)
        for number in range(48)
    )
    groups = tuple(
        PlannedGroup(
            f"block_{number}_conv", (f"block_{number}_conv", f"block_{number}_depthwise"), 96, tuple(range(48))
        )
        for number in range(30)
    )
    pinned = PlannedGroup("logits", ("logits",), 12, tuple(range(12)), "the model's output")
    channels = ChannelPruning(
        "bn_scale", (*groups, pinned), 2_273_356, 1_240_112, 300_774_272, 98_120_000, 3.4, 1.5, 2_912_000, 1_730_000
    )
    rows = coverage()
    summary = Compression(rows, grouped_coverage(rows), SparsityReport(zeros, 2_273_356), channels, "runs/teacher")
    return replace(report, artifacts=files, compression=summary)


def text_of(html: str) -> str:
    body = re.sub(r"<(style|script|svg).*?</\1>", "", html, flags=re.DOTALL)
    return " ".join(html_text.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\N{NO-BREAK SPACE}", " ").split())


@pytest.fixture
def page(make_report: MakeReport, pixels: Pixels) -> str:
    return text_of(render_page(compressed(make_report(12)), misclassified=pixels))


def test_two_hundred_layers_are_counted_by_what_and_why(page: str) -> None:
    assert "145 layers in int8; 1 layer left in float; 48 layers of training only" in page
    assert "int8 48 the next layer is folded into its kernel Conv2D" in page
    assert "All 194 layers, in the order they run" in page and "block_47_conv" in page


def test_layers_in_float_come_first(page: str) -> None:
    assert page.index("float32 1 left in float: skip") < page.index("the next layer is folded")


def test_zeros_are_told_of_the_file_with_its_compressed_size_and_no_speed_is_promised(page: str) -> None:
    assert "80.50 %" in page and "1.2 MB" in page
    assert "Zeros bring no speed" in page


def test_channel_pruning_is_told_as_expected_and_measured(page: str) -> None:
    assert "Time for one image 3.4 ms 1.5 ms 3.7 ms" in page
    assert "Multiply-adds for one image 300.8 M 98.1 M" in page
    assert "the model's output" in page


def test_the_first_layer_that_drifts_is_named(page: str) -> None:
    assert "The first to differ by more than one step is 'block_30_relu' (CONV_2D)" in page


def test_tensors_that_are_all_equal_are_said_to_be_so(make_report: MakeReport, pixels: Pixels) -> None:
    """The first of them was named as the one that differs most."""
    report = compressed(make_report(12))
    files = tuple(
        replace(file, layers=tuple(replace(row, mean_steps=0.0, worst_steps=0.0) for row in file.layers))
        for file in report.artifacts
    )
    page = render_page(replace(report, artifacts=files), misclassified=pixels)
    told = text_of(page)
    assert "Difference from the Keras model" not in page, "an empty picture"
    assert "49 tensors compared with the Keras model: equal to the bit" in told and "differs most" not in told


def test_a_run_without_compression_says_nothing_of_it(make_report: MakeReport, pixels: Pixels) -> None:
    report = make_report(12)
    assert "What compression did" not in render_page(report, misclassified=pixels)
    assert report_document(report)["compression"] is None


def test_the_model_card_says_how_the_model_was_compressed(make_report: MakeReport) -> None:
    card = render_model_card(compressed(make_report(12)))
    assert "| Compression | 31 groups of channels" in card and "1 layer left in float" in card
    assert "| Compression |" not in render_model_card(make_report(12))


def test_the_reader_is_warned_when_compression_cost_much(make_report: MakeReport, pixels: Pixels) -> None:
    report = compressed(make_report(12))
    stages = (
        StageSummary("fine_tune", "Fine-tune", 1.0, quality=0.99),
        StageSummary("pruning", "Prune", 1.0, quality=0.5),
        StageSummary("quantization", "Train quantisation-aware", 1.0, quality=report.evaluation.keras),
    )
    text = text_of(render_page(replace(report, stages=stages), misclassified=pixels))
    assert "Mind: compression cost 3.2 points of accuracy: the float model had 99.0 %" in text
    assert "compression cost" not in text_of(render_page(report, misclassified=pixels))


def test_the_document_holds_every_layer(make_report: MakeReport) -> None:
    document = json.loads(json.dumps(report_document(compressed(make_report(12))), allow_nan=False))
    assert len(document["compression"]["coverage"]) == 194
    assert document["compression"]["channels"]["expected_latency_ms"] == 1.5
    (integer,) = (file for file in document["artifacts"] if file["quantization"] == "int8")
    assert len(integer["layers"]) == 49 and integer["stored_zeros"] == 1_771_000
