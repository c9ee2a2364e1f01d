"""A `.litertlm` bundle: model, tokeniser and what stands around a question, as LiteRT-LM reads them."""

import tempfile
from pathlib import Path

from tfkit.artifacts import PromptSpec
from tfkit.data.replies import Conversation, read_conversation
from tfkit.data.replies.conversation import QUESTION, TOKENIZER_NAME


def write_bundle(model: Path, path: Path, spec: PromptSpec) -> None:
    """Write a bundle around a `.tflite` file.

    Args:
        model: A file with the signatures `prefill_N` and `decode`.
        path: The bundle.
        spec: Its prompts.
    """
    from litert_lm_builder import litertlm_builder

    said = read_conversation(spec.folder)
    with tempfile.TemporaryDirectory(prefix="tfkit-") as folder:
        metadata = Path(folder) / "metadata.pb"
        metadata.write_bytes(_metadata(said))
        builder = litertlm_builder.LitertLmFileBuilder()
        text = litertlm_builder.DType.STRING
        builder.add_system_metadata(litertlm_builder.Metadata(key="Authors", value="tfkit", dtype=text))
        builder.add_llm_metadata(str(metadata))
        builder.add_hf_tokenizer(str(spec.folder / TOKENIZER_NAME))
        builder.add_tflite_model(str(model), litertlm_builder.TfLiteModelType.PREFILL_DECODE)
        with path.open("wb") as file:
            builder.build(file)


def _metadata(said: Conversation) -> bytes:
    from litert_lm_builder.runtime.proto import llm_metadata_pb2

    told = llm_metadata_pb2.LlmMetadata()
    told.stop_tokens.add().token_ids.ids.append(said.stop_id)
    told.max_num_tokens = said.length
    before, behind = said.template.split(QUESTION)
    told.prompt_templates.user.prefix, told.prompt_templates.user.suffix = before, behind
    told.llm_model_type.generic_model.SetInParent()
    return bytes(told.SerializeToString())
