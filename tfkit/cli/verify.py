"""`tfkit verify`: measure exported files on labelled images or texts, and refuse those that miss a limit."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfkit.artifacts import ResizeMode
from tfkit.cli.documents import print_document
from tfkit.cli.options import (
    Column,
    CustomObjects,
    Header,
    Labels,
    PixelOptions,
    TaskOption,
    Threads,
    min_runtime_option,
)
from tfkit.errors import ConfigError

if TYPE_CHECKING:
    from tfkit.deployment import Bundle

REFUSED = 3


def verify(
    path: Annotated[Path, typer.Argument(help="A run, artifacts folder, .tflite file, SavedModel or bundle.")],
    *,
    data: Annotated[
        Path | None, typer.Option(help="Labelled images: class folders, .npz, CSV; or texts: CSV, TSV, JSONL.")
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="The Keras model it was made from, to compare with.", metavar="MODEL")
    ] = None,
    custom_objects: CustomObjects = None,
    labels: Labels = None,
    resize: Annotated[ResizeMode, typer.Option(help="How images are fitted, for an outside file.")] = "crop",
    image_size: Annotated[int | None, typer.Option(min=1, help="For a SavedModel that does not say.")] = None,
    pixels: PixelOptions,
    task: TaskOption = None,
    text_column: Column = None,
    label_column: Column = None,
    header: Header = None,
    tokenizer: Annotated[Path | None, typer.Option(help="Its folder, for an outside file of token ids.")] = None,
    threads: Threads = 1,
    max_accuracy_drop: Annotated[
        float | None, typer.Option(min=0, max=1, help="Refuse a larger loss against --reference, as a fraction.")
    ] = None,
    min_agreement: Annotated[
        float | None, typer.Option(min=0, max=1, help="Refuse fewer answers equal to --reference.")
    ] = None,
    max_bytes: Annotated[int | None, typer.Option(min=1, help="Refuse a larger file.")] = None,
    max_latency_ms_p95: Annotated[float | None, typer.Option(min=0, help="Refuse a slower file.")] = None,
    max_float_ops: Annotated[int | None, typer.Option(min=0, help="Refuse an int8 file with more of them.")] = None,
    min_runtime: Annotated[str | None, min_runtime_option("a file")] = None,
    npu: Annotated[
        str | None,
        typer.Option(help="Refuse integer files not wholly on this Ethos-U NPU; needs Vela.", metavar="ethos-u55-128"),
    ] = None,
    public_key: Annotated[Path | None, typer.Option(help="Refuse what it did not sign.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> int:
    """Show what an exported file is, how fast, and how good.

    What is said of the pixels goes for an outside file, and for the reference; a file of tfkit takes them raw.

    Exit status 3: a limit was missed, or the signature is not right, and the file is refused.
    """
    from tfkit.deployment import UNASKED_SIGNATURE, has_signature, read_bundle, verify_signature
    from tfkit.operations import Limits, TextTable, verified_notes, verified_table, verify
    from tfkit.terminal import Display, PlainConsole, chatter_dropped

    limits = Limits(max_accuracy_drop, min_agreement, max_bytes, max_latency_ms_p95, max_float_ops, min_runtime)
    if public_key is not None:
        signature = verify_signature(path, public_key=public_key)
        Display(PlainConsole(stderr=as_json)).notes(signature.sentences)
        if signature.reasons:
            if as_json:
                print_document(signature.document(), ascii_only=True)
            return REFUSED
    elif has_signature(path):
        Display(PlainConsole(stderr=as_json)).note(UNASKED_SIGNATURE)
    if (bundle := read_bundle(path)) is not None:
        if limits.any_given or data or reference or npu:
            told = f"'{path}' is a bundle: its files are compared with what was written, and not measured again"
            raise ConfigError(told, hint="leave the other options out, or name the run that it was made of")
        return _show_bundle(path, bundle, as_json=as_json)
    said = pixels.scaling()
    display = Display(PlainConsole(stderr=as_json))
    with chatter_dropped():
        verified = verify(
            path, data=data, reference=reference, limits=limits, labels=labels, resize=resize, image_size=image_size,
            scaling=said, task=task, table=TextTable(text_column, label_column, header), tokenizer=tokenizer,
            custom_objects=custom_objects, threads=threads, npu=npu, display=display,
        )  # fmt: skip
    if as_json:
        print_document(verified.document(), ascii_only=True)
    else:
        display.table(verified_table(verified, judged=limits.any_given or npu is not None))
        display.notes(verified_notes(verified))
    return 0 if verified.accepted else REFUSED


def _show_bundle(path: Path, bundle: "Bundle", *, as_json: bool) -> int:
    """Show what a bundle says of itself; its files were compared when it was read."""
    from dataclasses import asdict

    from tfkit.terminal import Display, PlainConsole

    if as_json:
        print_document(asdict(bundle), ascii_only=True)
    else:
        Display(PlainConsole()).notes((f"{path}: {bundle.title}", *bundle.sentences))
    return 0
