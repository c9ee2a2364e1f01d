"""Training and inference on a GPU in bf16: tfkit on Keras and JAX, beside PyTorch as an expert sets it up.

    python -m tests.benchmarks.gpu.throughput [--cases resnet50 bert_base] [--rounds 10] [--steps 23]
        [--batch-size 256] [--torch-mode default] [--kernels 0] [--seed 0]

ResNet-50 on images of 224 pixels beside torchvision's; BERT-base on 128 tokens, a quarter of them padding, beside
transformers' with scaled dot-product attention. Both sides have the same batch, on the card already, the same
optimizer and the same dropout, and everything learns, BatchNorm's statistics too.

tfkit's side is `tfkit.training.train_batches` on its own classifier in `mixed_bfloat16`, preprocessing included:
the seconds between the ends of the steps of Keras's `fit` with tfkit's callbacks. "Bare step" is the same
compiled step in a loop of its own. tfkit's input pipeline is `tf.data` and no part of this: TensorFlow need not be
installed.

PyTorch's side: `torch.compile`, autocast to bf16, channels last, fused optimizer, TF32, cuDNN's own benchmark.

Needs torch, torchvision and transformers beside tfkit. The sides take turns, in rounds; ratios are taken within a
round. Median (quartiles) of the rounds.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np
import torch

from tests.benchmarks.gpu.measuring import (
    SameBatch,
    Side,
    TakeTurns,
    describe_card,
    on_host,
    show_kernels,
    spread,
    timed,
)
from tfkit import models
from tfkit.artifacts import ImageSpec
from tfkit.models.text import build_text_classifier
from tfkit.training import Optimization, train_batches

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
_SIZES = {"bert_base": (12, 768, 12), "bert_tiny": (2, 128, 2)}
_VOCABULARY, _INTENTS, _PICTURED = 30522, 77, 1000


@dataclass(frozen=True)
class Case:
    """One network on both sides.

    Attributes:
        keras_model: tfkit's classifier, in `mixed_bfloat16`.
        keras_batch: Inputs and one-hot targets.
        torch_model: PyTorch's, on the card.
        torch_batch: Keyword inputs and labels.
        plan: Optimizer and learning rate of both.
    """

    keras_model: keras.Model
    keras_batch: tuple[Any, Any]
    torch_model: Any
    torch_batch: tuple[dict[str, Any], Any]
    plan: Optimization


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=["resnet50", "bert_base"], choices=["resnet50", *_SIZES])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=23, help="of a round; the first three are not timed")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--image-size", type=int, default=224)
    parser.add_argument("--length", type=int, default=128, help="tokens of a text")
    parser.add_argument("--torch-mode", default="default", help="mode of torch.compile")
    parser.add_argument("--kernels", type=int, default=0, help="show so many of each side's kernels, by time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    print(
        f"{describe_card()}; torch.compile mode {options.torch_mode}, seed {options.seed}. Examples a second:", end=" "
    )
    print(f"median (quartiles) of {options.rounds} rounds of {options.steps - 3} steps.\n")
    print("| what, batch | tfkit, `fit` | the bare step | PyTorch | tfkit / PyTorch | bare / PyTorch |")
    print("| --- " * 6 + "|", flush=True)
    for name in options.cases:
        keras.utils.set_random_seed(options.seed)
        torch.manual_seed(options.seed)
        with on_host():
            made = _text_case(name, options) if name in _SIZES else _image_case(options)
        measure(name, made, options)
        del made
        torch.cuda.empty_cache()
        jax.clear_caches()


def measure(name: str, case: Case, options: argparse.Namespace) -> None:
    """Train and answer in turns; a row for each, and on stderr what compiling took and what was learned."""
    step, losses = torch_step(case, options.torch_mode)
    theirs = timed(step, _wait, options.steps)
    began = time.perf_counter()
    step()
    compiling = time.perf_counter() - began
    turns = TakeTurns(case.keras_batch, options.steps, [theirs])
    result = train_batches(
        case.keras_model,
        SameBatch(case.keras_batch, options.steps),
        None,
        optimization=case.plan,
        steps_per_epoch=options.steps,
        callbacks=(turns,),
    )
    _show(f"{name}, training", turns.rounds, options.batch_size)
    ours = result.history["loss"]
    print(
        f"{name}, to the first step that is timed: tfkit {turns.compiling:.0f} s, PyTorch {compiling:.0f} s; "
        f"loss {ours[0]:.2f} to {ours[-1]:.2f}, PyTorch {float(losses[0]):.2f} to {float(losses[-1]):.2f}",
        file=sys.stderr,
        flush=True,
    )
    answering = answer_in_turns(turns.model, case, options)
    _show(f"{name}, inference", [[row[0], *row] for row in answering], options.batch_size)
    if options.kernels and turns.bare is not None:
        show_kernels([turns.bare, theirs], options.kernels)


def torch_step(case: Case, mode: str) -> tuple[Callable[[], Any], list[Any]]:
    """PyTorch's training step, and the losses it has seen, on the device."""
    model = case.torch_model.train()
    compiled = torch.compile(model, mode=mode)
    criterion = torch.nn.CrossEntropyLoss()
    inputs, labels = case.torch_batch
    if case.plan.optimizer == "sgd":
        settings = {"momentum": 0.9, "nesterov": True}
        optimizer: Any = torch.optim.SGD(model.parameters(), case.plan.learning_rate, fused=True, **settings)
    else:
        optimizer = torch.optim.AdamW(
            model.parameters(), case.plan.learning_rate, weight_decay=case.plan.weight_decay, fused=True
        )
    losses: list[Any] = []

    def step() -> Any:
        with torch.autocast(DEVICE, dtype=torch.bfloat16):
            loss = criterion(_logits(compiled(**inputs)), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        return loss

    return step, losses


def answer_in_turns(fitted: keras.Model, case: Case, options: argparse.Namespace) -> list[list[float]]:
    """Seconds of a forward pass to logits in each round: the fitted model in mixed precision, and PyTorch's."""
    weights = [variable.value for variable in fitted.trainable_variables]
    others = [variable.value for variable in fitted.non_trainable_variables]
    inputs = jax.device_put(case.keras_batch[0])
    answer = jax.jit(lambda *given: fitted.stateless_call(*given, training=False)[0])
    compiled = torch.compile(case.torch_model.eval(), mode=options.torch_mode)

    def torch_answer() -> Any:
        with torch.inference_mode(), torch.autocast(DEVICE, dtype=torch.bfloat16):
            return _logits(compiled(**case.torch_batch[0]))

    ours: Side = timed(lambda: answer(weights, others, inputs), jax.block_until_ready, options.steps)
    theirs: Side = timed(torch_answer, _wait, options.steps)
    ours(), theirs()
    return [[ours(), theirs()] for _ in range(options.rounds)]


def _image_case(options: argparse.Namespace) -> Case:
    import torchvision

    size, random = options.image_size, np.random.default_rng(options.seed)
    pixels = random.integers(0, 256, (options.batch_size, size, size, 3)).astype(np.float32)
    labels = random.integers(0, _PICTURED, options.batch_size)
    backbone = models.build_backbone("resnet50", image=ImageSpec(size, size, 3), weights="random")
    classifier = models.build_classifier(backbone, classes=_PICTURED)
    models.unfreeze(classifier, "all", batch_norm="train")
    network = torchvision.models.resnet50().to(DEVICE, memory_format=torch.channels_last)
    # PyTorch's normalisation is done beforehand; tfkit's preprocessing is inside its model.
    given = torch.from_numpy((pixels - 120.0) / 58.0).permute(0, 3, 1, 2).to(DEVICE, memory_format=torch.channels_last)
    return Case(
        _mixed(classifier),
        (pixels, np.eye(_PICTURED, dtype=np.float32)[labels]),
        network,
        ({"x": given}, torch.from_numpy(labels).to(DEVICE)),
        Optimization(epochs=options.rounds + 1, learning_rate=1e-3, optimizer="sgd"),
    )


def _text_case(name: str, options: argparse.Namespace) -> Case:
    import keras_hub
    import transformers

    layers, hidden, heads = _SIZES[name]
    random = np.random.default_rng(options.seed)
    shape = (options.batch_size, options.length)
    ids = random.integers(1, _VOCABULARY, shape)
    # Lengths from a half to the whole: a quarter of the tokens is padding.
    lengths = random.integers(options.length // 2, options.length + 1, (options.batch_size, 1))
    mask = (np.arange(options.length)[None, :] < lengths).astype(np.int32)
    ids = ids * mask  # token 0 is padding on both sides
    labels = random.integers(0, _INTENTS, options.batch_size)
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=_VOCABULARY,
        num_layers=layers,
        num_heads=heads,
        hidden_dim=hidden,
        intermediate_dim=4 * hidden,
    )
    settings = transformers.BertConfig(
        vocab_size=_VOCABULARY,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_size=hidden,
        intermediate_size=4 * hidden,
        num_labels=_INTENTS,
        attn_implementation="sdpa",
    )
    inputs = {"token_ids": ids.astype(np.int32), "padding_mask": mask}
    given = {"input_ids": torch.from_numpy(ids).to(DEVICE), "attention_mask": torch.from_numpy(mask).to(DEVICE)}
    return Case(
        _mixed(build_text_classifier(backbone, classes=_INTENTS)),
        (inputs, np.eye(_INTENTS, dtype=np.float32)[labels]),
        transformers.BertForSequenceClassification(settings).to(DEVICE),
        (given, torch.from_numpy(labels).to(DEVICE)),
        Optimization(epochs=options.rounds + 1, learning_rate=3e-5, optimizer="adamw", weight_decay=0.01),
    )


def _mixed(model: keras.Model) -> keras.Model:
    """The copy that `train_batches` would make with `precision`, made on the processor."""
    return models.with_dtype_policy(model, "mixed_bfloat16")


def _wait(_: Any) -> None:
    if DEVICE == "cuda":
        torch.cuda.synchronize()


def _logits(outputs: Any) -> Any:
    return getattr(outputs, "logits", outputs)


def _show(what: str, rounds: list[list[float]], batch: int) -> None:
    rates = [spread([batch / row[side] for row in rounds], ",.0f") for side in range(3)]
    ratios = [spread([row[2] / row[side] for row in rounds]) for side in range(2)]
    print(f"| {what}, {batch} | {' | '.join(rates)} | {' | '.join(ratios)} |", flush=True)


if __name__ == "__main__":
    main()
