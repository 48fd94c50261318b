"""Two processes that train one model end with the model of one process on the whole batch."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from tests.conftest import HANGING

SCRIPT = """
import os, pathlib, sys
import torch
import torch.distributed as dist
from safetensors.torch import save_file
from expunge.approximate import Edit, run_edit
from expunge.approximate import _training
from expunge.approximate.npo import NPO
from expunge.synthetic import people, records
from expunge.testing.toys import toy_llama, toy_tokenizer

if int(os.environ.get("WORLD_SIZE", "1")) > 1:
    dist.init_process_group("gloo")
seen, own = [], _training.own
_training.own = lambda batch: seen.append(own(batch)) or seen[-1]  # of the forget rows, of the retain rows, and so on
forget, retain = records(people(2), [0]), records(people(3, skip=2), [0])
# answers of one length each, so that the mean over rows is the mean over tokens on any part of a batch
words = toy_tokenizer(["a b c d e f g h"], 300)
rows = lambda kept: [type(r)(r.id, r.subject, f"q {i}", f"a b c {'defgh'[i % 5]}", "") for i, r in enumerate(kept)]
settings = Edit(lr=1e-3, steps=6, warmup=0, forget_batch=8, retain_batch=8, guard=None, every=2)
forget, retain = rows(forget), [type(r)(r.id, r.subject, "w" + r.question, r.answer, "") for r in rows(retain)]
out, ends = sys.argv[1], int(sys.argv[2])
steps = []
def said(done, total):
    steps.append(done)
    if done == ends:
        os._exit(9)
model, folder = toy_llama(len(words), 32, 2), pathlib.Path(out) / "state"
edited = run_edit(model, words, forget, retain, NPO(), settings, folder=folder, progress=said)
rank = int(os.environ.get("RANK", "0"))
open(f"{out}/{rank}.steps", "w").write(" ".join(map(str, steps)))
save_file({k: p.detach().clone() for k, p in edited.model.named_parameters()}, f"{out}/{rank}.safetensors")
open(f"{out}/{rank}.rows", "w").write("\\n".join("\\t".join(r.id for r in kept) for kept in seen[1::2]))
"""


def run(out: Path, n: int, ends: int = 0) -> None:
    """`ends`: every process dies after so many steps."""
    out.mkdir(exist_ok=True)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    started = []
    for rank in range(n):
        world = {"WORLD_SIZE": str(n), "RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        environment = {**os.environ, **world, "OMP_NUM_THREADS": "1"}
        started.append(subprocess.Popen([sys.executable, "-c", SCRIPT, str(out), str(ends)], env=environment))
    assert [p.wait(timeout=HANGING) for p in started] == [9 if ends else 0] * n


def test_two_ranks_read_other_rows_and_end_with_the_same_model_as_one(tmp_path: Path) -> None:
    run(tmp_path / "one", 1)
    run(tmp_path / "two", 2)
    alone, first, second = (
        load_file(tmp_path / p) for p in ("one/0.safetensors", "two/0.safetensors", "two/1.safetensors")
    )
    for name in alone:
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], alone[name], rtol=1e-4, atol=2e-5)
    rows = [(tmp_path / p).read_text().splitlines() for p in ("two/0.rows", "two/1.rows", "one/0.rows")]
    for mine, yours, whole in zip(*rows, strict=True):
        assert not set(mine.split("\t")) & set(yours.split("\t"))
        assert sorted([*mine.split("\t"), *yours.split("\t")]) == sorted(whole.split("\t"))


def test_two_ranks_that_died_go_on_to_the_same_bits(tmp_path: Path) -> None:
    run(tmp_path / "whole", 2)
    run(tmp_path / "died", 2, ends=5)
    run(tmp_path / "died", 2)
    for rank in (0, 1):
        assert (tmp_path / f"died/{rank}.steps").read_text() == "5 6"  # from the checkpoint after the fourth
        whole, again = (load_file(tmp_path / name / f"{rank}.safetensors") for name in ("whole", "died"))
        assert all(torch.equal(again[name], whole[name]) for name in whole)
