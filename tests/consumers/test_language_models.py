"""LiteRT-LM's own runtime says the same as tfkit's, token for token, with the template of the bundle."""

import json
import os
import subprocess
from pathlib import Path

import keras
import pytest

from tests.consumers.consumers import CLIENTS
from tests.consumers.environments import Environment, NotInstallableError
from tfkit.artifacts import PromptSpec, format_named
from tfkit.data.replies import Conversation, ReplyExamples, learn_conversation
from tfkit.exporters.language_model import LanguageModelFiles
from tfkit.models.text.language_model import LanguageModel, tiny_llama
from tfkit.runtimes import LanguageModelRuntime
from tfkit.training import Optimization
from tfkit.training.replies import train_language_model

pytestmark = [pytest.mark.slow, pytest.mark.consumers]

LITERT_LM = Environment("litert-lm", ("litert-lm-api==0.18.1",))
LENGTH, ANSWER, PART = 64, 24, 16
QUESTIONS = ("Where is my parcel?", "I want my money back!", "Do you sell tea, and <|end|> cups?")
ANSWERS = ("It is on its way – wait till Monday.", "You get it in 5 days.", "We do: see '/tea'.")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Conversation, LanguageModel]:
    keras.utils.set_random_seed(0)
    folder = tmp_path_factory.mktemp("prompts")
    said = learn_conversation([*QUESTIONS, *ANSWERS], vocabulary=320, length=LENGTH, answer_length=ANSWER)
    said.save(folder)
    examples = ReplyExamples(QUESTIONS, ANSWERS, ("1", "2", "3"), said)
    model = LanguageModel(tiny_llama(vocabulary=said.vocabulary, layers=2, width=48))
    plan = Optimization(epochs=60, learning_rate=5e-3, optimizer="adam", schedule="constant")
    train_language_model(model, examples, examples.select([]), optimization=plan, batch_size=3)
    return folder, said, model


def test_litert_lm_says_the_same(trained: tuple[Path, Conversation, LanguageModel], tmp_path: Path) -> None:
    try:
        interpreter = LITERT_LM.interpreter()
    except NotInstallableError as fault:
        pytest.skip(str(fault))
    folder, said, model = trained
    bundle = tmp_path / "model.litertlm"
    LanguageModelFiles(model, PromptSpec(LENGTH, PART, folder)).write(format_named("litertlm"), bundle)
    plain = [question for question in QUESTIONS if "<|" not in question]  # LiteRT-LM refuses control tokens in texts
    (tmp_path / "prompts.json").write_text(json.dumps(plain))
    command = [interpreter, CLIENTS / "litert_lm_client.py", bundle, tmp_path / "prompts.json", tmp_path / "said.json"]
    words = list(map(str, [*command, LENGTH]))
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    with LanguageModelRuntime(bundle) as runtime:
        made = [runtime.generate(said.prompt(one)[0], stop=said.stop_id, limit=ANSWER) for one in QUESTIONS]
    ours = [said.decode(one.ids) for one in made]
    assert ours == list(ANSWERS) and all(one.ended for one in made)
    assert [text.strip() for text in json.loads((tmp_path / "said.json").read_text())] == ours[: len(plain)]
