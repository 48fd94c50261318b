"""What a digest of values has to see, kind by kind: pairs that behave differently, pairs that are equal, and what is refused."""

import array
import collections
import functools
import io
import re
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import sparse, special
from tests.processes import printed_twice
from torch import nn

from expunge.core.errors import ExpungeError, InvalidParameter
from expunge.engine import digest_model, digest_state, digest_value


def _made(source: str) -> Any:
    """The function `f` of this source; two of them differ in nothing that is not said in it."""
    place: dict[str, Any] = {}
    exec(source, place)  # noqa: S102 - of the sources below
    return place["f"]


def _above(bar: float) -> Callable[[float], bool]:
    def above(x: float) -> bool:
        return x > bar

    return above


def _hung_on(k: int) -> Callable[..., Any]:
    made: Callable[..., Any] = _above(1)
    vars(made)["k"] = k
    return made


class Held:
    def __init__(self, k: int) -> None:
        self.k = k

    def times(self, x: int) -> int:
        return x * self.k


def _bound(source: str, k: int = 1) -> Any:
    return types.MethodType(_made(source), Held(k))


def _drawn(spawned: int) -> np.random.Generator:
    """It has given as many children, which its next ones depend on; its own numbers are the same."""
    drawn = np.random.default_rng(1)
    drawn.spawn(spawned)
    return drawn


class Registered:
    """Copied by a function that is registered for it, which alone knows what it holds."""

    __slots__ = ("k",)

    def __init__(self, k: int) -> None:
        self.k = k

    def __reduce_ex__(self, _: Any) -> Any:
        raise TypeError("ask the registered function")


DIFFER: dict[str, tuple[Any, Any]] = {
    "what a function closes over": (_above(1.0), _above(2.0)),
    "defaults": (_made("def f(x, k=1): return x"), _made("def f(x, k=2): return x")),
    "defaults by keyword": (_made("def f(x, *, k=1): return x"), _made("def f(x, *, k=2): return x")),
    "arguments by position alone": (_made("def f(x, y, /): return x"), _made("def f(x, y): return x")),
    "arguments by keyword alone": (_made("def f(x, *, y): return x"), _made("def f(x, y): return x")),
    "how many arguments": (_made("def f(x):\n y = 1"), _made("def f(x, y):\n y = 1")),
    "any arguments": (_made("def f(*x): return x"), _made("def f(x): return x")),
    "a coroutine": (_made("async def f(): return 1"), _made("def f(): return 1")),
    "a generator": (_made("def f():\n return\n yield"), _made("def f():\n return")),
    "what is caught": (
        _made("def f(x):\n try: g(x)\n except KeyError: return 0"),
        _made("def f(x):\n try: g(x)\n except ValueError: return 0"),
    ),
    "what is called": (_made("def f(x): return g(x)"), _made("def f(x): return h(x)")),
    "a constant within": (_made("def f(): return lambda: 1"), _made("def f(): return lambda: 2")),
    "a constant of another type": (_made("def f(): return 1"), _made("def f(): return 1.0")),
    "what is hung on a function": (_hung_on(1), _hung_on(2)),
    "nothing closed over yet": (_made("def f():\n def g(): return y\n return g\n y = 1")(), _above(1)),
    "a method by its object": (Held(1).times, Held(2).times),
    "a method by its code": (_bound("def f(s): return 1"), _bound("def f(s): return 2")),
    "a method by its defaults": (_bound("def f(s, k=1): return k"), _bound("def f(s, k=2): return k")),
    "a method of compiled code": ([1].append, [2].append),
    "a method of its own object": (types.MethodType(len, [1]), types.MethodType(len, [2])),
    "a partial": (functools.partial(int, base=2), functools.partial(int, base=3)),
    "a partial by its function": (functools.partial(_above(1)), functools.partial(_above(2))),
    "a cached function": (functools.lru_cache(lambda x: x + 1), functools.lru_cache(lambda x: x + 2)),
    "a ufunc of another library": (np.exp2, special.exp2),
    "a pattern": (re.compile("a"), re.compile("b")),
    "flags of a pattern": (re.compile("a"), re.compile("a", re.IGNORECASE)),
    "types": (int | str, int | float),
    "a registered class": (Registered(1), Registered(2)),
    "a matrix": (np.matrix([[1.0]]), np.array([[1.0]])),
    "an array's own class": (np.zeros(2).view(np.recarray), np.zeros(2)),
    "a sparse array": (sparse.csr_array(np.eye(2)), sparse.csr_matrix(np.eye(2))),
    "a record": (np.array([(1, 2.0)], "i4,f8")[0], np.array([(1, 3.0)], "i4,f8")[0]),
    "texts of any length": tuple(np.array(["a", end * 40], np.dtypes.StringDType()) for end in "bc"),
    "bytes that change": (b"a", bytearray(b"a")),
    "the type in a view": (memoryview(np.arange(4.0)), memoryview(np.arange(4.0).tobytes())),
    "a view with gaps": (memoryview(b"abcd")[::2], memoryview(b"abcd")[1::2]),
    "a view turned": tuple(memoryview(x) for x in (np.arange(4).reshape(2, 2), np.arange(4).reshape(2, 2).T)),
    "an array of Python's": (array.array("i", [1]), array.array("h", [1])),
    "children given": (_drawn(0), _drawn(1)),
    "an ordered dict": (collections.OrderedDict(a=1, b=2), collections.OrderedDict(b=2, a=1)),
    "a default": (collections.defaultdict(int), collections.defaultdict(list)),
    "to be conjugated": (torch.tensor([1 + 2j]).conj(), torch.tensor([1 + 2j])),
    "to be negated": (torch.tensor([1 + 2j, 0]).conj().imag, torch.tensor([1 + 2j, 0]).imag),
    "a generator of torch": (torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)),
    "a stream": (io.BytesIO(b"a"), io.BytesIO(b"b")),
    "a large number": (10**6000, 10**6000 + 1),
    "times of a class that is not scikit-learn's": tuple(types.SimpleNamespace(refit_time_=t) for t in (1.0, 2.0)),
}


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    import copyreg

    monkeypatch.setitem(copyreg.dispatch_table, Registered, lambda value: (Registered, (value.k,)))


@pytest.mark.parametrize("kind", DIFFER)
def test_what_behaves_differently_has_another_digest(kind: str) -> None:
    one, other = DIFFER[kind]
    assert digest_value(one) == digest_value(one)
    assert digest_value(one) != digest_value(other)
    assert digest_value([{"held": one}]) != digest_value([{"held": other}])


def _padded(noise: int) -> Any:
    """A record between whose fields there is anything."""
    record = np.zeros(1, np.dtype({"names": ["a", "b"], "formats": ["i1", "i8"]}, align=True))
    record.view(np.uint8)[3] = noise
    return record[0]


def _long(noise: int) -> Any:
    third = np.ones(3, np.longdouble) / 3
    if third.itemsize == 48:  # the extended numbers of x86 have ten bytes of sixteen
        third.view(np.uint8)[12] = noise
    return third


def _run_often(times: int) -> Any:
    """Python writes into the code of a function that runs often."""
    often = _made("def f(x): return x + 1")
    for i in range(times):
        often(i)
    return often


EQUAL: dict[str, tuple[Any, Any]] = {
    "functions": (_above(1.0), _above(1.0)),
    "a function written elsewhere": (_made("def f(x): return x"), _made("\n\n\ndef f(x):\n return x")),
    "a function that ran": (_run_often(0), _run_often(10_000)),
    "methods": (Held(1).times, Held(1).times),
    "methods of compiled code": ([1].append, [1].append),
    "records": (_padded(1), _padded(2)),
    "long numbers": (_long(1), _long(2)),
    "sets": ({"a", "b", "c"}, {"c", "b", "a"}),
    "views": (memoryview(b"abcd")[::2], memoryview(b"a-c-")[::2]),
    "conjugated": (torch.tensor([1 + 2j]).conj(), torch.tensor([1 - 2j])),
    "a single number of a row": (torch.arange(6.0).reshape(2, 3)[:1, ::3], torch.zeros(1, 1)),
}


@pytest.mark.parametrize("kind", EQUAL)
def test_what_is_equal_has_one_digest(kind: str) -> None:
    one, other = EQUAL[kind]
    assert digest_value(one) == digest_value(other)


def test_a_function_that_calls_itself_has_a_digest() -> None:
    def down(k: int) -> int:
        return down(k - 1) if k else 0

    assert digest_value(down) == digest_value(down)


SCRIPT = """
import re, functools, collections, datetime
import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from expunge.engine import digest_value

def f(x, k={"b", "a"}):
    return x in {"p", "q", "r"} or k

held = [
    {"b", "a", "c"}, frozenset("xyz"), {"d": {"e", "f"}}, f, functools.partial(f, k=1), re.compile("a|b"), [1].append,
    collections.OrderedDict(a=1), datetime.timedelta(1), np.array([(1, "a")], "i4,U1")[0], np.random.default_rng(3), f.__call__,
    TfidfVectorizer().fit(["one two", "two three"]),
]
print(digest_value(held))
"""


def test_in_another_process_the_digest_is_the_same() -> None:
    """Whatever the order that sets happen to have there."""
    told = printed_twice(SCRIPT)
    assert told[0] == told[1]
    assert told[0].startswith("sha256:")


class Raises:
    """Whose copy raises whatever it likes."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __reduce_ex__(self, _: Any) -> Any:
        raise self.error


class GivesNoCopy:
    def __reduce_ex__(self, _: Any) -> Any:
        return 5


class IsNoList(list[int]):
    def __iter__(self) -> Any:
        raise RuntimeError("not now")


class Hides:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("no class")


def _deep(levels: int) -> Any:
    deep: list[Any] = []
    for _ in range(levels):
        deep = [deep]
    return deep


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "a key error": (lambda: Raises(KeyError("k")), "Raises cannot be digested"),
    "a type error": (lambda: Raises(TypeError("t")), "Raises cannot be digested"),
    "an error of the system": (lambda: Raises(OSError(5, "io")), "Raises cannot be digested"),
    "an error of memory": (lambda: Raises(MemoryError()), "Raises cannot be digested"),
    "no copy": (lambda: GivesNoCopy(), "GivesNoCopy cannot be digested"),
    "no list": (lambda: IsNoList([1]), "IsNoList cannot be digested"),
    "no class": (lambda: Hides(), "cannot be digested"),
    "a lock": (lambda: threading.Lock(), "lock cannot be digested"),
    "a ufunc of a function": (lambda: np.frompyfunc(lambda x: x, 1, 1), "goes by its name.*give the function itself"),
    "a sparse tensor": (lambda: torch.eye(2).to_sparse(), "torch.sparse_coo.*make it dense"),
    "a sparse tensor by rows": (lambda: torch.eye(2).to_sparse_csr(), "torch.sparse_csr.*make it dense"),
    "a nested tensor": (lambda: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "cannot be digested"),
    "a quantized tensor": (
        lambda: torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8),
        "quantized.*make it dense",
    ),
    "a sparse array of three dimensions": (lambda: sparse.coo_array(np.ones((2, 2, 2))), "cannot be digested"),
    "too deep": (lambda: _deep(500), "deeper than 200 levels"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_digested_is_refused_in_a_sentence(kind: str) -> None:
    make, sentence = REFUSED[kind]
    value = make()
    for held in (value, [{"held": value}]) if kind != "too deep" else (value,):
        with pytest.raises(InvalidParameter, match=sentence):
            digest_value(held)


def test_what_a_name_does_not_lead_to_is_refused() -> None:
    """As a mark that some library keeps, copied by its name, and then put something else there."""

    class Mark:
        def __reduce_ex__(self, _: Any) -> Any:
            return "MARK"

    with pytest.raises(InvalidParameter, match=r"Mark goes by its name, and under '.*MARK' it is not found"):
        digest_value(Mark())
    assert digest_value(NotImplemented) != digest_value(Ellipsis)
    assert digest_value(torch.float32) != digest_value(torch.float64)


class Counting(nn.Module):
    """With a state that is no tensor."""

    def __init__(self, seen: Any) -> None:
        super().__init__()
        self.lin, self.seen = nn.Linear(2, 2), seen
        nn.init.zeros_(self.lin.weight)
        nn.init.zeros_(self.lin.bias)

    def get_extra_state(self) -> Any:
        return self.seen

    def set_extra_state(self, state: Any) -> None:
        self.seen = state


def test_extra_state_of_a_module_is_part_of_its_digest() -> None:
    states = [{"seen": 1}, {"seen": 2}, torch.ones(1), None]
    assert len({digest_model(Counting(state)) for state in states}) == len(states)
    assert digest_model(Counting({"seen": 1})) == digest_model(Counting({"seen": 1}))
    with pytest.raises(InvalidParameter, match="lock cannot be digested"):
        digest_model(Counting(threading.Lock()))


@pytest.mark.filterwarnings("ignore")
def test_a_model_of_tensors_that_have_no_bytes_is_refused() -> None:
    for tensor in (torch.eye(2).to_sparse(), torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.quint8)):
        with pytest.raises(ExpungeError, match="make it dense"):
            digest_state({"w": tensor})


def test_a_view_of_a_tensor_has_the_digest_of_its_values(tmp_path: Path) -> None:
    whole = torch.randn(4, 6, dtype=torch.complex64)
    for view in (whole.T, whole.conj(), whole.imag, whole.conj().imag, whole[:, ::2], whole[1:2, 3:4]):
        torch.save(view, tmp_path / "t")  # as another process would read it
        assert digest_state({"w": view}) == digest_state({"w": view.clone().resolve_conj().resolve_neg().contiguous()})
