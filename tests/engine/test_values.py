"""One digest of values: other contents, other digest; the same contents, the same digest; what is not here is refused."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.utils import all_estimators, get_tags
from sklearn.utils._test_common.instance_generator import _construct_instances
from torch import nn

from expunge.core.errors import InvalidParameter
from expunge.engine import digest_model, digest_state, digest_value

DRAWS = np.random.default_rng(0)
X = np.abs(DRAWS.normal(size=(30, 4))) * (DRAWS.random((30, 4)) > 0.2) * 5
OTHER = np.abs(DRAWS.normal(size=(30, 4))) * (DRAWS.random((30, 4)) > 0.3) * 9
for table in (X, OTHER):
    table[:, 3] += 0.1  # no row of zeros
Y, OTHER_Y = np.tile([0, 1, 1], 10), np.tile([0, 0, 0, 1, 1], 6)
LEARNS_NOTHING = {  # of these numbers: what is fitted is a parameter, a shape, a function or a choice among few
    *("Binarizer", "FunctionTransformer", "Normalizer", "AdditiveChi2Sampler", "FeatureHasher", "HashingVectorizer"),
    *(
        "SequentialFeatureSelector",
        "MissingIndicator",
        "PatchExtractor",
        "PolynomialCountSketch",
        "RBFSampler",
        "SkewedChi2Sampler",
    ),
    *("GaussianRandomProjection", "SparseRandomProjection", "PolynomialFeatures"),
}

REFUSED = {"Birch"}  # its nodes are linked in a ring


def _made(kind: Callable[..., Any]) -> Any:
    """A small instance that draws from a fixed state."""
    estimator = next(iter(_construct_instances(kind)))
    states = {k: 0 for k in estimator.get_params() if k.split("__")[-1] == "random_state"}
    return estimator.set_params(**states)


def _fitted(estimator: Any, X: Any, y: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clone(estimator).fit(X, y)


@pytest.mark.parametrize("name", [name for name, _ in all_estimators()])
def test_an_estimator_is_known_by_what_it_learned(name: str) -> None:
    try:
        estimator = _made(dict(all_estimators())[name])
        tags = get_tags(estimator)
        y, other_y = Y, OTHER_Y
        if tags.estimator_type == "regressor":
            y, other_y = Y + X[:, 0], OTHER_Y + 3 * OTHER[:, 1]
        if tags.target_tags.multi_output and not tags.target_tags.single_output:
            y, other_y = np.column_stack([y, 1 - y]), np.column_stack([other_y, 1 - other_y])
        one = _fitted(estimator, X, y)
    except Exception as e:  # noqa: BLE001 - texts, dictionaries, one column: not what this table is for
        pytest.skip(f"not fitted on a table of numbers: {type(e).__name__}")
    if name in REFUSED:
        with pytest.raises(InvalidParameter, match="holds itself"):
            digest_value(one)
        return
    assert digest_value(one) == digest_value(_fitted(estimator, X, y)), "the same data"
    assert digest_value(one) == digest_value(copy.deepcopy(one)), "a copy"
    others = [_fitted(estimator, OTHER, other_y), _fitted(estimator, X[::-1] / 20, y)]
    if name not in LEARNS_NOTHING:
        assert any(digest_value(one) != digest_value(other) for other in others), "other data"


def test_a_tensor_is_its_type_shape_and_bytes() -> None:
    zero = torch.zeros(2, 3)
    assert digest_value({"w": zero}) == digest_value({"w": zero.clone()})
    others = (zero.double(), zero.reshape(3, 2), zero + 1, zero.numpy(), zero.to(torch.bfloat16))
    assert len({digest_value(value) for value in (zero, *others)}) == 6


@pytest.mark.parametrize("tensor", [torch.zeros(2, device="meta"), nn.Parameter(torch.zeros(2, device="meta"))])
def test_a_tensor_whose_values_are_not_here_is_refused(tensor: torch.Tensor) -> None:
    for digest in (digest_value, lambda t: digest_state({"w": t})):
        with pytest.raises(InvalidParameter, match="meta device"):
            digest(tensor)


def test_a_sharded_tensor_is_refused(tmp_path: Any) -> None:
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'meet'}", rank=0, world_size=1)
    try:
        whole = nn.Linear(2, 2)
        whole.weight = nn.Parameter(distribute_tensor(whole.weight.data, init_device_mesh("cpu", (1,)), [Shard(0)]))
        with pytest.raises(InvalidParameter, match="sharded"):
            digest_model(whole)
    finally:
        dist.destroy_process_group()


def test_a_model_of_empty_placeholders_is_refused() -> None:
    """As DeepSpeed leaves them: two models that differ would have one digest."""
    model = nn.Linear(2, 2)
    model.weight.data = torch.empty(0)
    with pytest.raises(InvalidParameter, match=r"1 of 2 tensors are empty, 'weight'.*gather"):
        digest_model(model)


def test_an_image_is_known_by_its_pixels() -> None:
    image = pytest.importorskip("PIL.Image")
    one, again, other = (image.fromarray(np.full((4, 4, 3), v, dtype=np.uint8)) for v in (1, 1, 2))
    assert digest_value(one) == digest_value(again) != digest_value(other)


def test_a_long_array_is_known_by_all_its_numbers() -> None:
    one = np.zeros(5000)
    other = one.copy()
    other[2500] = 1
    assert repr(one) == repr(other), "the control"
    assert digest_value(one) != digest_value(other)


def test_what_cannot_be_copied_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="generator cannot be digested"):
        digest_value({"rows": (i for i in range(3))})
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(InvalidParameter, match="holds itself"):
        digest_value(loop)
