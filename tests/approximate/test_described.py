"""What a state left behind belongs to: another model, row, method or setting makes another key, another process does not."""

import copy
import json
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from tests.processes import printed_twice
from torch import nn

from expunge.approximate import Edit, methods
from expunge.approximate._described import edit_key
from expunge.core import Record
from expunge.engine import examples

ROWS = examples(torch.arange(12.0).reshape(6, 2), torch.arange(6) % 2)
TEXTS = [Record(f"{i}", "ann", "Who?", f"Ann {i}.") for i in range(4)]


@dataclass(frozen=True)
class Held:
    """A method by what it holds."""

    given: Any


def _net(activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 2), activation(), nn.Linear(2, 2))


def _key(model: Any = None, tokenizer: Any = None, rows: Any = ROWS, method: Any = Held(1), **settings: Any) -> str:
    return edit_key(model or _net(), tokenizer, rows[:2], rows[2:], method, Edit(**settings))


def test_anything_else_makes_another_key() -> None:
    long = np.zeros(5000)
    other = long.copy()
    other[2500] = 1
    keys = {
        "the edit": _key(),
        "another function between the weights": _key(model=_net(nn.Tanh)),
        "another class of a row": _key(rows=[replace(ROWS[0], y=1 - ROWS[0].y), *ROWS[1:]]),
        "another setting": _key(lr=0.5),
        "another method": _key(method=methods.get("npo")()),
        "a function": _key(method=Held(lambda x: x + 1)),
        "another function": _key(method=Held(lambda x: x + 2)),
        "an array": _key(method=Held(long)),
        "another array, of one repr": _key(method=Held(other)),
        "a tensor": _key(method=Held(torch.zeros(3))),
        "a text": _key(method=Held("1")),
    }
    for one, two in combinations(keys, 2):
        assert keys[one] != keys[two], (one, two)
    assert _key() == keys["the edit"]
    assert _key(method=Held(lambda x: x + 1)) != _key(method=Held(lambda x, k=1: x + 1))


def test_another_configuration_or_chat_template_makes_another_key(trained: Any) -> None:
    model, tokenizer = trained.model, trained.tokenizer
    other, asked = copy.deepcopy(model), copy.deepcopy(tokenizer)
    other.config.rms_norm_eps = 0.1
    asked.chat_template = "{% for m in messages %}Asked: {{ m.content }}{% endfor %}"
    keys = [_key(*given, rows=TEXTS) for given in ((model, tokenizer), (other, tokenizer), (model, asked))]
    assert len(set(keys)) == 3
    assert _key(model, tokenizer, rows=TEXTS) == keys[0]


SCRIPT = """
import json, torch
from torch import nn
from expunge.approximate import Edit, methods
from expunge.approximate._described import edit_key
from expunge.core import Record
torch.manual_seed(0)
rows = [Record(str(i), "ann", "Who?", "Ann.") for i in range(4)]
made = [methods.get(name)() for name in methods.names() if name not in %r]
keys = [edit_key(nn.Linear(2, 2), None, rows[:1], rows[1:], method, Edit()) for method in made]
print(json.dumps(keys))
"""


def test_every_method_has_the_same_key_in_another_process() -> None:
    needy = [name for name in methods.names() if not _made(name)]
    told = [json.loads(printed) for printed in printed_twice(SCRIPT % needy)]
    assert told[0] == told[1]
    assert len(set(told[0])) == len(methods.names()) - len(needy) > 20


def _made(name: str) -> Any:
    try:
        return methods.get(name)()
    except TypeError:  # it needs to be given something
        return None
