"""What decodes requests as training did, without TensorFlow: the code and the files that bundles carry for it."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib import metadata, util
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from packaging.requirements import Requirement

from tfkit.artifacts import Artifact, ImageSpec, RunDirectory, TensorSpec, TextSpec
from tfkit.deployment.proved import proved_files
from tfkit.deployment.servers import body_megabytes
from tfkit.deployment.templates import render_templates
from tfkit.deployment.tolerances import other_processor
from tfkit.errors import ExportError
from tfkit.files import write_whole
from tfkit.tasks import task_named

_SENT = {ImageSpec: "image_bytes", TextSpec: "texts"}
_DECODERS = {ImageSpec: ("host_images", "pixels"), TextSpec: ("word_pieces", "word_pieces")}


def refuse_undecodable(run: RunDirectory, served: Artifact) -> None:
    """See that what a file takes can be made of what clients send, without TensorFlow.

    Args:
        run: The run.
        served: Its file.

    Raises:
        ExportError: When it takes neither pictures nor texts that word pieces are made of.
    """
    hint = "serve it: tfkit package serving RUN, whose model decodes itself"
    if type(served.input) not in _SENT:
        raise ExportError(
            f"'{run.path}' takes neither pictures nor texts, and the bundle has no decoder for what it takes", hint=hint
        )
    if isinstance(served.input, TextSpec):
        kind = str(_specification(served.input)["kind"])
        if kind != "word_piece":
            raise ExportError(
                f"'{run.path}' has a {kind.replace('_', ' ')} tokeniser, which only TF Text runs as in training",
                hint=hint,
            )


def sent_name(served: Artifact) -> str:
    """What the input is called in which clients send encoded pictures or texts.

    Example:
        >>> sent_name(artifact)  # doctest: +SKIP
        'image_bytes'
    """
    return _SENT[type(served.input)]


def fed_tensors(served: Artifact) -> tuple[TensorSpec, ...]:
    """The tensors that the file itself takes, by the names that clients know."""
    if isinstance(served.input, ImageSpec):
        (tensor,) = served.signature.inputs
        return (TensorSpec("pixels", tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point),)
    return tuple(one for one in served.signature.inputs if one.name in ("token_ids", "padding_mask"))


def described_model(served: Artifact) -> dict[str, Any]:
    """What `answering.py` must know of the file: `described.json`.

    Args:
        served: The file.

    Returns:
        Plain values.
    """
    (output,) = served.signature.outputs
    said: dict[str, Any] = {
        "version": 1,
        "file": served.path.name,
        "sha256": served.sha256,
        "kind": "image" if isinstance(served.input, ImageSpec) else "text",
        "task": served.task,
        "gives": task_named(served.task).output,
        "sent": sent_name(served),
        "inputs": [{"name": one.name, "dtype": one.dtype} for one in fed_tensors(served)],
        "output": {"dtype": output.dtype, "scale": output.scale, "zero_point": output.zero_point},
        "class_names": list(served.class_names),
        "thresholds": list(served.thresholds),
    }
    if isinstance(served.input, ImageSpec):
        return said | {"image": asdict(served.input)}
    assert isinstance(served.input, TextSpec)
    size = _specification(served.input)["vocabulary_size"]
    return said | {"text": {"sequence_length": served.input.sequence_length, "vocabulary_size": size}}


def write_decoder(folder: Path, served: Artifact) -> None:
    """Write `decoding.py` and all that it needs: the decoder that was compared with TensorFlow's, the tokeniser.

    Args:
        folder: A folder that is there.
        served: The file.
    """
    write_whole(folder / "described.json", json.dumps(described_model(served), indent=2, ensure_ascii=False) + "\n")
    render_templates("decoding", folder, {})
    module, name = _DECODERS[type(served.input)]
    origin = util.find_spec(f"tfkit.data.{module}")
    assert origin is not None and origin.origin is not None
    shutil.copyfile(origin.origin, folder / f"{name}.py")
    if isinstance(served.input, TextSpec):
        shutil.copytree(served.input.tokenizer, folder / "tokenizer")


def decoder_packages(served: Artifact) -> tuple[str, ...]:
    """What `decoding.py` imports.

    Example:
        >>> decoder_packages(artifact)  # doctest: +SKIP
        ('numpy', 'pillow', 'simplejpeg')
    """
    return ("numpy", "pillow", "simplejpeg") if isinstance(served.input, ImageSpec) else ("numpy",)


def pinned(packages: tuple[str, ...], *, instead: Mapping[str, str] = MappingProxyType({})) -> tuple[str, ...]:
    """Packages and what they need, in the versions that are installed here, as pip's requirements.

    Args:
        packages: Their names.
        instead: The versions of some that shall be other ones.

    Raises:
        ExportError: When one is not installed.

    Example:
        >>> [one.split("==")[0] for one in pinned(("simplejpeg",))]
        ['numpy', 'simplejpeg']
    """
    found: dict[str, str] = {}
    asked = list(packages)
    while asked:
        name = asked.pop().lower().replace("_", "-")
        if name in found:
            continue
        try:
            found[name] = instead.get(name) or metadata.version(name)
        except metadata.PackageNotFoundError:
            raise ExportError(f"the bundle needs {name}, which is not installed", hint=f"pip install {name}") from None
        needed = [Requirement(line) for line in metadata.requires(name) or ()]
        asked += [one.name for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    return tuple(f"{name}=={found[name]}" for name in sorted(found))


def v2_values(
    run: RunDirectory, served: Artifact, proved: NDArray[np.float32], *, request_bytes: int
) -> dict[str, Any]:
    """What the templates of `kserve_v2` and `servers` name of a file, whatever server runs it.

    Args:
        run: The run.
        served: Its file.
        proved: What it answered to the golden samples in the run's proof.
        request_bytes: The largest golden request.

    Returns:
        Names, numbers and limits.
    """
    (timed,) = [one for one in proved_files(run) if one["file"].rsplit("/", 1)[-1] == served.path.name]
    milliseconds = timed["latency_ms_p50"]
    return {
        "file": served.path.name,
        "task": served.task,
        "sent": sent_name(served),
        "body_megabytes": body_megabytes(request_bytes),
        "slow_seconds": round(max(0.1, milliseconds / 100), 2),
        "measured_ms": round(milliseconds, 2),
        "apart": other_processor(served, proved),
    }


def _specification(text: TextSpec) -> Any:
    return json.loads((text.tokenizer / "specification.json").read_text(encoding="utf-8"))
