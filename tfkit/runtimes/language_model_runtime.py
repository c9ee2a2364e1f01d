"""Run a language model's `.tflite` file, or the one inside of a `.litertlm` bundle, token by token with LiteRT."""

import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from tfkit.artifacts import ModelSignature, TensorSpec
from tfkit.artifacts.language_model import DECODE, INPUT_POSITIONS, LOGITS, TOKENS
from tfkit.errors import ModelError
from tfkit.runtimes.protocol import ANSWER_MASK, TOKEN_IDS, ModelInputs, Runtime, held_native_output

_PREFILL = "prefill_"
BUNDLE_SUFFIX = ".litertlm"


@dataclass(frozen=True)
class Generated:
    """What a model said.

    Attributes:
        ids: Its tokens, without the stop.
        seconds: What reading the prompt and saying them took.
        ended: Whether it came to its stop by itself.
    """

    ids: tuple[int, ...]
    seconds: float
    ended: bool


def model_of_bundle(path: Path) -> bytes:
    """The `.tflite` model inside of a `.litertlm` bundle.

    Raises:
        ModelError: When the file is no bundle, or has no model in it.
    """
    from litert_lm_builder import litertlm_header_schema_py_generated as header
    from litert_lm_builder.litertlm_peek import read_litertlm_header

    try:
        sections = read_litertlm_header(str(path), io.StringIO()).SectionMetadata()
        for number in range(sections.ObjectsLength()):
            section = sections.Objects(number)
            if section.DataType() == header.AnySectionDataType.TFLiteModel:
                with path.open("rb") as file:
                    file.seek(section.BeginOffset())
                    return file.read(section.EndOffset() - section.BeginOffset())
    except (OSError, ValueError, AttributeError, TypeError, IndexError) as fault:
        raise ModelError(f"'{path}' is no LiteRT-LM bundle: {fault}", hint="export it again") from None
    raise ModelError(f"the bundle '{path}' holds no .tflite model", hint="export it again")


class LanguageModelRuntime(Runtime):
    """Runs a language model as LiteRT-LM does: a prompt in parts at once, its answer token by token with a cache.

    Args:
        path: A `.tflite` file with the signatures `prefill_N` and `decode`, or a `.litertlm` bundle with one inside.
        threads: CPU threads.

    Raises:
        ModelError: When the file cannot be run, or is no language model.

    Example:
        >>> with LanguageModelRuntime(Path("model_dynamic_int8.tflite")) as runtime:  # doctest: +SKIP
        ...     runtime.generate([5, 8, 13], stop=0, limit=32).ids
    """

    def __init__(self, path: Path, *, threads: int = 1) -> None:
        self.name, self.threads = "litert", threads
        self.measures = "LiteRT, decode of one token"
        given = {"model_content": model_of_bundle(path)} if path.suffix == BUNDLE_SUFFIX else {"model_path": str(path)}
        with held_native_output():
            try:
                self._interpreter = Interpreter(num_threads=threads, **given)
                names = self._interpreter.get_signature_list()
                prefill = next(name for name in names if name.startswith(_PREFILL))
                self._decode = self._interpreter.get_signature_runner(DECODE)
                self._prefill = self._interpreter.get_signature_runner(prefill)
                self._empty = {
                    name: np.zeros(tensor["shape"], tensor["dtype"])
                    for name, tensor in self._decode.get_input_details().items()
                    if name not in (TOKENS, INPUT_POSITIONS)
                }
                self._part = int(prefill.removeprefix(_PREFILL))
                self._read(
                    self._empty, np.zeros(1, np.int32), 0
                )  # the CPU delegate is made, and speaks, at a first run
            except (RuntimeError, ValueError, StopIteration, KeyError) as fault:
                raise ModelError(
                    f"LiteRT cannot run '{path}' as a language model: {fault or 'it has no prefill and decode'}",
                    hint="name a file that a run of finetune_reply exported",
                ) from None
        self.cache = int(next(iter(self._empty.values())).shape[2])
        inputs = tuple(TensorSpec(name, (None, self.cache - self._part), "int32") for name in (TOKEN_IDS, ANSWER_MASK))
        self.signature = ModelSignature(inputs, (TensorSpec("scores", (None, self.cache - self._part, 2), "float32"),))

    def scores(self, inputs: ModelInputs) -> NDArray[np.float32]:
        """What is told of each answer's tokens while they are read; see `Runtime.scores`.

        Args:
            inputs: `token_ids` and `answer_mask`, int32 (n, length) each; answers stand in one piece behind prompts.

        Returns:
            float32 (n, length, 2): before each token of an answer its log-likelihood, and the likeliest token's id;
            elsewhere 0.
        """
        if not isinstance(inputs, Mapping) or {TOKEN_IDS, ANSWER_MASK} - set(inputs):
            raise ModelError(f"a language model takes {TOKEN_IDS} and {ANSWER_MASK}, int32 (n, length) each")
        ids, mask = (np.asarray(inputs[name], np.int32) for name in (TOKEN_IDS, ANSWER_MASK))
        scores = np.zeros((*ids.shape, 2), np.float32)
        for row, asked, found in zip(ids, mask, scores, strict=True):
            places = np.flatnonzero(asked)
            if not len(places):
                continue
            begin, end = int(places[0]), int(places[-1]) + 1
            cache = self._prompt(row[: begin - 1])
            for place in range(begin - 1, end - 1):
                logits, cache = self._step(cache, int(row[place]), place)
                right = logits[row[place + 1]] - _log_sum(logits)
                found[place] = right, logits.argmax()
        return scores

    def generate(self, prompt: Sequence[int], *, stop: int, limit: int) -> Generated:
        """Let the model go on with a prompt, always with the likeliest token.

        Args:
            prompt: Token ids, one at least.
            stop: The token that ends an answer.
            limit: Tokens that it may say at most.
        """
        began = time.perf_counter()
        limit = min(limit, self.cache - len(prompt))
        cache, token, said = self._prompt(np.asarray(prompt[:-1], np.int32)), int(prompt[-1]), list[int]()
        for place in range(len(prompt) - 1, len(prompt) - 1 + limit):
            logits, cache = self._step(cache, token, place)
            token = int(logits.argmax())
            if token == stop:
                return Generated(tuple(said), time.perf_counter() - began, True)
            said.append(token)
        return Generated(tuple(said), time.perf_counter() - began, False)

    def prepare(self, inputs: ModelInputs) -> Callable[[], float | None]:
        """Make ready one step: the first token of an answer, its prompt read; see `Runtime.prepare`."""
        assert isinstance(inputs, Mapping)
        row, asked = np.asarray(inputs[TOKEN_IDS][0], np.int32), np.asarray(inputs[ANSWER_MASK][0])
        place = int(np.flatnonzero(asked)[0]) - 1
        cache = self._prompt(row[:place])

        def run() -> None:
            self._step(cache, int(row[place]), place)

        return run

    def close(self) -> None:
        """Free the interpreter."""
        self._decode = self._prefill = self._interpreter = None

    def _prompt(self, ids: NDArray[np.int32]) -> dict[str, NDArray[np.generic]]:
        """The cache after some tokens, read in parts of which the last may have empty places behind it."""
        cache = self._empty
        for start in range(0, len(ids), self._part):
            cache = self._read(cache, ids[start : start + self._part], start)
        return cache

    def _read(
        self, cache: dict[str, NDArray[np.generic]], ids: NDArray[np.int32], start: int
    ) -> dict[str, NDArray[np.generic]]:
        part, places = np.zeros((1, self._part), np.int32), np.zeros(self._part, np.int32)
        part[0, : len(ids)], places[: len(ids)] = ids, np.arange(start, start + len(ids))
        return dict(self._prefill(**{TOKENS: part, INPUT_POSITIONS: places}, **cache))

    def _step(
        self, cache: dict[str, NDArray[np.generic]], token: int, place: int
    ) -> tuple[NDArray[np.float32], dict[str, NDArray[np.generic]]]:
        given = {TOKENS: np.array([[token]], np.int32), INPUT_POSITIONS: np.array([place], np.int32)}
        found = dict(self._decode(**given, **cache))
        return found.pop(LOGITS)[0, -1], found


def _log_sum(logits: NDArray[np.float32]) -> float:
    largest = float(logits.max())
    return largest + float(np.log(np.exp(logits.astype(np.float64) - largest).sum()))
