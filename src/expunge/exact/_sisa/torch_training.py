"""Any torch training function as something that `Sisa` can train in shards and slices.

A stage continues from the weights of the stage before; whatever the function makes besides weights (optimizer,
schedule) starts fresh in each, so that nothing of a later slice reaches an earlier one.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import ClassifierTags, RegressorTags

from expunge.core.errors import InvalidParameter, MissingExtra, UnreadableModel
from expunge.exact._learner.rows import Positions

if TYPE_CHECKING:
    from torch import nn


class TorchTraining(BaseEstimator):
    """A torch model by the two functions that make and train it; give it to `Sisa` in place of an estimator.

    `build()` returns a new module; its draws are seeded. `train(module, X, y, epochs, seed)` trains it in place on
    tensors: `X` of the data's type, `y` as indices into the declared classes, or as float32 for kind="regressor".
    `predict(module, X)` returns probabilities of all classes, [N, C], or values, [N]; by default the softmax of
    `module(X)`, or `module(X)`.

    Assumed: the functions draw only from torch's generator or from `seed`, and read nothing but their arguments and
    constants. A module's output has one column per class: declare `classes=` to keep their number when one leaves.
    Guaranteed: one thread, deterministic kernels, weights kept as safetensors.
    """

    def __init__(
        self,
        build: Callable[[], "nn.Module"],
        train: Callable[[Any, Any, Any, int, int], Any],
        predict: Callable[[Any, Any], Any] | None = None,
        *,
        kind: Literal["classifier", "regressor"] = "classifier",
    ) -> None:
        self.build, self.train, self.predict, self.kind = build, train, predict, kind

    has_probabilities = True

    def stage(
        self,
        model: Any,
        X: Any,
        y: Any,
        orders: Sequence[Positions] | None,
        classes: Any,
        seed: int,
        weights: None = None,
    ) -> Any:
        """The module after as many epochs as there are orders, from `model` or from a new one."""
        torch = _torch()
        from expunge.engine import pinned

        with pinned(1), torch.enable_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            module = self.build() if model is None else model
            target = np.searchsorted(classes, y) if classes is not None else y.astype(np.float32)
            module.train()
            torch.manual_seed(seed)
            self.train(module, torch.from_numpy(np.array(X)), torch.from_numpy(target), len(orders or ()), seed)
            return module

    def values(self, model: Any, X: Any, classes: Any) -> Any:
        """Labels, or a regressor's values."""
        outputs = self._outputs(model, X)
        return outputs if classes is None else classes[outputs.argmax(axis=1)]

    def probabilities(self, model: Any, X: Any, classes: Any) -> tuple[Any, Any]:
        """All classes, and the probability of each, [N, C].

        Raises: InvalidParameter, where the module has another number of outputs.
        """
        outputs = self._outputs(model, X)
        if outputs.ndim != 2 or outputs.shape[1] != len(classes):
            raise InvalidParameter(
                f"the module gives {outputs.shape[1:]} outputs a record for {len(classes)} classes; declare classes= and "
                "build as many outputs"
            )
        return classes, outputs

    def _outputs(self, model: Any, X: Any) -> Any:
        torch = _torch()
        model.eval()
        with torch.no_grad():
            given = torch.from_numpy(np.array(X))
            if self.predict is not None:
                outputs = self.predict(model, given)
            else:
                outputs = model(given)
                outputs = (
                    outputs.softmax(dim=1) if self.kind == "classifier" else outputs.reshape(len(given), -1).squeeze(1)
                )
        return np.asarray(outputs.double())

    def digest(self, model: Any) -> str:
        from expunge.engine import digest_model

        return digest_model(model)

    def dump(self, model: Any) -> bytes:
        from safetensors.torch import save

        data: bytes = save({k: v.detach().cpu().clone().contiguous() for k, v in model.state_dict().items()})
        return data

    def load(self, data: bytes) -> Any:
        """A new module with these weights.

        Raises: UnreadableModel.
        """
        torch = _torch()
        from safetensors import SafetensorError
        from safetensors.torch import load

        from expunge.engine import pinned

        with pinned(1), torch.random.fork_rng(devices=[]):  # in another default type it would be another module
            module = self.build()
        try:
            module.load_state_dict(load(data))
        except (SafetensorError, RuntimeError) as e:
            raise UnreadableModel(f"saved weights do not fit the module that build() makes: {e}") from e
        return module

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.estimator_type = self.kind
        tags.classifier_tags = ClassifierTags() if self.kind == "classifier" else None
        tags.regressor_tags = RegressorTags() if self.kind == "regressor" else None
        tags.input_tags.three_d_array = True
        tags.target_tags.required = True
        return tags


def _torch() -> Any:
    try:
        import torch
    except ImportError as e:
        raise MissingExtra("TorchTraining needs torch; install it with: pip install 'expunge[models]'") from e
    return torch
