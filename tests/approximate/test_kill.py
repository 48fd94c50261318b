"""A process that is killed without warning and started again ends in the same bits as one that was not."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.conftest import HANGING

SCRIPT = """
import sys, time
from pathlib import Path
from expunge.approximate import Edit, methods, run_edit
from expunge.core.capability import pin_capability
from expunge.engine import digest_model
from expunge.synthetic import people, records
from expunge.testing.toys import toy_llama, toy_tokenizer

names, out = sys.argv[1].split(), Path(sys.argv[2])
forget, retain = records(people(2), [0]), records(people(3, skip=2), [0])
words = toy_tokenizer([text for r in records(people(20, seed=9), [0]) for text in (r.question, r.answer)], 400)
settings = Edit(lr=1e-4, steps=18, warmup=2, forget_batch=8, retain_batch=8, every=1, guard_every=3)

for name in names:
    def log(done, total):
        with (out / f"{name}.log").open("a") as file:
            file.write(f"{done}\\n")
        time.sleep(0.05)

    model = toy_llama(len(words), 32, 2)
    edited = run_edit(model, words, forget, retain, methods.get(name)(), settings, folder=out / name, progress=log)
    print(digest_model(edited.model), flush=True)
"""


NAMES = ["npo", "cir", "undo"]


def run(names: list[str], out: Path) -> "subprocess.Popen[str]":
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-c", SCRIPT, " ".join(names), str(out)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def steps(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()] if log.exists() else []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, int]]:
    """Digests of undisturbed runs, and how many steps they took."""
    out = tmp_path_factory.mktemp("whole")
    digests = run(NAMES, out).communicate(timeout=HANGING)[0].split()
    assert [d[:7] for d in digests] == ["sha256:"] * len(NAMES)
    return dict(zip(NAMES, digests, strict=True)), {name: len(steps(out / f"{name}.log")) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_killed_at_a_random_step_and_started_again_it_ends_in_the_same_bits(
    name: str, whole: tuple[dict[str, str], dict[str, int]], tmp_path: Path
) -> None:
    expected, total = whole[0][name], whole[1][name]
    log, at = tmp_path / f"{name}.log", random.randint(2, total - 2)
    killed = run([name], tmp_path)
    while len(steps(log)) < at:
        assert killed.poll() is None, "it ended before it could be killed"
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.wait(timeout=HANGING)
    assert killed.returncode == -signal.SIGKILL
    before = len(steps(log))
    again = run([name], tmp_path)
    assert again.communicate(timeout=HANGING)[0].strip() == expected, f"killed after {before} of {total} steps"
    # It went on where it was and did not begin anew: at most the step under way was done twice.
    assert len(steps(log)) <= total + 1
