"""Run by an interpreter with litert-lm-api: MODEL.litertlm PROMPTS.json ANSWERS.json MAX_TOKENS. No tfkit here.

PROMPTS: a list of plain questions, which the bundle's own template goes around. ANSWERS: what is said to each.
"""

import json
import sys
from pathlib import Path

import litert_lm

model, prompts, answers, most = sys.argv[1:]
engine = litert_lm.Engine(model, backend=litert_lm.Backend.CPU(thread_count=1), max_num_tokens=int(most))
told = []
for prompt in json.loads(Path(prompts).read_text(encoding="utf-8")):
    session = engine.create_session()
    session.run_prefill([prompt])
    told.append(session.run_decode().texts[0])
Path(answers).write_text(json.dumps(told), encoding="utf-8")
