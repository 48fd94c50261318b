"""Wherever units are trained, the same bits come out; a worker that dies changes nothing."""

import os
import pickle
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cloudpickle
import numpy as np
import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_info

from expunge.core.errors import InvalidParameter, MissingExtra, RecipeMismatch, WorkersLost
from expunge.core.executor import Executor
from expunge.exact import Sisa
from expunge.exact._learner import executors
from expunge.exact._learner.executors import LocalPool, RayPool, executor_of
from expunge.exact._sisa.fixed import FixedUnit
from expunge.exact._sisa.unit import _agreed

SALT = b"a salt for tests"


@pytest.fixture(scope="module", autouse=True)
def _functions_travel_by_value() -> Iterator[None]:
    """Workers cannot import a test module."""
    here = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(here)
    yield
    cloudpickle.unregister_pickle_by_value(here)


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    ray = pytest.importorskip("ray")
    here = sys.modules[__name__]
    ray.cloudpickle.register_pickle_by_value(here)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield ray
    ray.shutdown()
    ray.cloudpickle.unregister_pickle_by_value(here)


class Dying:
    """An executor whose task kills its worker the first time: the file says that it has happened."""

    def __init__(self, inner: Executor, flag: Path) -> None:
        self.inner, self.flag = inner, flag

    def run(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        packed = [cloudpickle.dumps((task, item)) for item in items]  # so that it dies before it imports much
        return self.inner.run(partial(die_once, self.flag), packed)


def die_once(flag: Path, packed: bytes) -> Any:
    if not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    task, item = pickle.loads(packed)  # noqa: S301 - what this test packed
    return task(item)


def die(item: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(item: int) -> int:
    raise KeyError(f"item {item}")


def where(item: int) -> tuple[int, int]:
    return item, os.getpid()


def where_after_a_while(item: int) -> tuple[int, int]:
    time.sleep(0.4)
    return where(item)


def fail_after_a_while(item: int) -> None:
    time.sleep(0.4)
    if item:
        fail(item)


def n_threads(item: int) -> int:
    np.ones((300, 300)) @ np.ones((300, 300))
    return max((pool["num_threads"] for pool in threadpool_info()), default=1)


def model(executor: Any = "local", workers: int | None = 1) -> Any:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(240, 6))
    y = (X[:, 0] + rng.normal(size=240) > 0).astype(int)
    sisa = Sisa(MLPClassifier((8,)), shards=4, slices=2, epochs=3, executor=executor, workers=workers, salt=SALT)
    return sisa.fit(X, y, subjects=[f"u{i % 60}" for i in range(240)])


@pytest.fixture(scope="module")
def here() -> tuple[str, str]:
    """Digests in this process, before and after a deletion that touches several units."""
    sisa = model()
    deletion = sisa.forget(subjects=["u1", "u2", "u3"], digests=True)
    assert len(deletion.plan.units) > 1
    assert deletion.digest_before != deletion.digest_after
    return deletion.digest_before, deletion.digest_after


def digests(sisa: Any) -> tuple[str, str]:
    deletion = sisa.forget(subjects=["u1", "u2", "u3"], digests=True)
    return deletion.digest_before, deletion.digest_after


def test_a_killed_worker_of_the_pool_is_retried_and_the_bits_are_the_same(
    here: tuple[str, str], tmp_path: Path
) -> None:
    flag = tmp_path / "died"
    assert digests(model(Dying(LocalPool(2), flag))) == here
    assert flag.exists(), "the control: a worker was killed"


def test_a_pool_of_processes_gives_the_bits_of_this_process(here: tuple[str, str]) -> None:
    assert digests(model(workers=2)) == here


def test_one_task_or_one_worker_stays_in_this_process_and_more_leave_it() -> None:
    assert LocalPool(2).run(where, [7]) == [(7, os.getpid())]
    assert LocalPool(1).run(where, [7, 8]) == [(7, os.getpid()), (8, os.getpid())]
    assert os.getpid() not in {pid for _, pid in LocalPool(2).run(where, [1, 2, 3])}


def test_without_a_number_of_workers_short_tasks_stay_here_and_long_ones_leave(
    here: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executors, "cpu_count", lambda: 3)  # also where there is one core
    assert {pid for _, pid in LocalPool().run(where, list(range(9)))} == {os.getpid()}
    monkeypatch.setattr(executors, "WORKER_START_S", 0.05)
    found = LocalPool().run(where_after_a_while, list(range(6)))
    assert [item for item, _ in found] == list(range(6))
    pids = [pid for _, pid in found]
    assert pids[0] == os.getpid(), "what is under way stays"
    assert os.getpid() not in pids[1:]
    assert digests(model(workers=None)) == here


def test_an_error_beside_workers_is_raised_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "cpu_count", lambda: 2)
    for start_s in (executors.WORKER_START_S, 0.05):
        monkeypatch.setattr(executors, "WORKER_START_S", start_s)
        with pytest.raises(KeyError, match="item 1"):
            LocalPool().run(fail_after_a_while, [1, 0, 0])
    with pytest.raises(KeyError, match="item 2"):  # of a worker, while one goes on here
        LocalPool().run(fail_after_a_while, [0, 2, 0])


def test_every_task_here_runs_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "cpu_count", lambda: 2)
    assert LocalPool().run(n_threads, [0, 1, 2]) == [1, 1, 1]


def test_results_come_in_the_order_of_the_items() -> None:
    assert [item for item, _ in LocalPool(2).run(where, list(range(9)))] == list(range(9))


def test_an_error_in_a_task_is_raised_as_it_is_and_not_retried() -> None:
    for workers in (1, 2):
        with pytest.raises(KeyError, match="item 1"):
            LocalPool(workers).run(fail, [1, 1])


def test_every_task_runs_on_one_thread_whatever_is_set_outside() -> None:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=2):
        assert n_threads(0) == 2 or os.cpu_count() == 1, "the control: more threads outside"
        assert LocalPool(1).run(n_threads, [0, 1]) == [1, 1]
    assert LocalPool(2).run(n_threads, [0, 1]) == [1, 1]


def test_a_worker_that_is_another_kind_of_machine_is_refused() -> None:
    class Elsewhere:
        def run(self, task: Any, items: Any) -> list[Any]:
            from dataclasses import replace

            there = [replace(i.recipe, environment={**i.recipe.environment, "python": "3.9.0"}) for i in items]
            return [task(replace(item, recipe=recipe)) for item, recipe in zip(items, there, strict=True)]

    with pytest.raises(RecipeMismatch, match=r"3\.9\.0"):
        model(Elsewhere())


def scaled(executor: Any = "local", workers: int | None = 1) -> Any:
    """A model whose bits rest on what scikit-learn is set to, which is a thread's own."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(80, 3)), np.arange(80) % 2
    estimator = make_pipeline(StandardScaler(), LogisticRegression())
    return Sisa(estimator, shards=4, executor=executor, workers=workers, salt=SALT).fit(X, y)


def test_threads_and_processes_train_in_the_modes_of_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in modes that were set after they had started."""
    monkeypatch.setattr(executors, "cpu_count", lambda: 3)
    usual = [scaled(workers=workers).digest() for workers in (1, None, 2)]
    with sklearn.config_context(transform_output="pandas"):
        models = [scaled(workers=workers) for workers in (1, None, 2)]
        for model in models:
            model.forget(records=[3, 4, 5, 6])
    assert len(set(usual)) == 1
    assert len({model.digest() for model in models}) == 1
    assert models[0].units() != scaled().units(), "the control: the mode decides bits"
    (_, served), *_ = models[1]._serving()
    assert served[-1].feature_names_in_.tolist() == ["x0", "x1", "x2"]


class OtherSolver:
    """Workers with a solver of another build, which ends one rounding further; they name nothing that is different."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner

    def run(self, task: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        return self.inner.run(partial(with_another_solver, task), items)


def with_another_solver(task: Callable[[Any], Any], item: Any) -> Any:
    from scipy import optimize

    minimize = optimize.minimize

    def rounds_otherwise(*given: Any, **more: Any) -> Any:
        found = minimize(*given, **more)
        found.x = np.nextafter(found.x, np.inf)
        return found

    optimize.minimize = rounds_otherwise
    try:
        return task(item)
    finally:
        optimize.minimize = minimize


@pytest.mark.parametrize("workers", [1, 2])
def test_a_worker_that_gives_other_bits_is_refused_though_it_names_nothing(workers: int) -> None:
    """At the fit and at a deletion; and a worker that once gave the same bits is asked by the next recipe."""
    _agreed.__dict__.clear()
    with pytest.raises(RecipeMismatch, match="a fixed piece of this model's own work gives other bits"):
        scaled(OtherSolver(LocalPool(workers)))
    model = scaled(LocalPool(workers))
    before, model.executor = model.digest(), OtherSolver(LocalPool(workers))
    _agreed.__dict__.clear()
    if workers == 1:
        with pytest.raises(RecipeMismatch, match="a fixed piece"):
            model.forget(records=[3, 4, 5, 6])
        assert model.digest() == before


def test_a_canary_is_run_once_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    _agreed.__dict__.clear()
    ran = []
    learned = FixedUnit.learned
    monkeypatch.setattr(FixedUnit, "learned", lambda self: ran.append(1) or learned(self))
    scaled()
    assert len(ran) == 2, "by who asks, and by who trains"
    scaled()
    assert len(ran) == 3


def test_an_executor_is_known_by_name_or_by_what_it_does() -> None:
    assert isinstance(executor_of("local", None), LocalPool)
    assert isinstance(executor_of("ray", 2), RayPool)
    own = Dying(LocalPool(1), Path("unused"))
    assert executor_of(own, None) is own
    for wanted, workers in (("slurm", None), (3, None), ("local", 0)):
        with pytest.raises(InvalidParameter):
            executor_of(wanted, workers)  # type: ignore[arg-type]


def test_without_ray_installed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra, match=r"expunge\[ray\]"):
        RayPool(1).run(where, [1])


def test_workers_that_keep_dying_are_a_clear_error() -> None:
    with pytest.raises(WorkersLost, match="workers died"):
        LocalPool(2).run(die, [1, 2])


# -- Ray, started once: starting it takes longer than all else here ---------------------------------------------------


def test_ray_gives_the_bits_of_this_process(ray: Any, here: tuple[str, str]) -> None:
    assert digests(model("ray")) == here
    assert os.getpid() not in {pid for _, pid in RayPool().run(where, [1, 2])}, "the control: it ran elsewhere"


def test_a_killed_worker_of_ray_is_retried_and_the_bits_are_the_same(
    ray: Any, here: tuple[str, str], tmp_path: Path
) -> None:
    flag = tmp_path / "died"
    assert digests(model(Dying(RayPool(), flag))) == here
    assert flag.exists(), "the control: a worker was killed"


def test_ray_runs_on_one_thread_raises_what_a_task_raises_and_gives_up_on_workers_that_die(ray: Any) -> None:
    assert RayPool().run(n_threads, [0, 1]) == [1, 1]
    with pytest.raises(KeyError, match="item 1"):
        RayPool().run(fail, [1])
    with pytest.raises(WorkersLost, match="workers died"):
        RayPool().run(die, [1])


def test_what_a_worker_cannot_import_is_no_dead_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere.py").write_text("def double(n):\n    return 2 * n\n")
    monkeypatch.syspath_prepend(tmp_path)
    import elsewhere  # type: ignore[import-not-found]

    monkeypatch.undo()  # workers get the path as it is when they are started
    with pytest.raises(InvalidParameter, match=r"'elsewhere'.*that worker processes can import"):
        LocalPool(2).run(elsewhere.double, [1, 2])
    del sys.modules["elsewhere"]
