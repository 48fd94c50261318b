"""Activation patching on any module: what it reads or answers is changed on the way, or another function runs in its place.

Each is undone at the end, also after an error, and may stand inside another of its kind.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

Edit = Callable[[Tensor], Tensor]


@contextmanager
def patched_inputs(edits: Mapping[nn.Module, Edit]) -> Iterator[None]:
    """Meanwhile every module reads `edit` of its first input, or of its `hidden_states` where they are named.

    >>> with patched_inputs({(line := nn.Identity()): lambda x: 2 * x}):
    ...     line(Tensor([1.0])).item()
    2.0
    """

    def hook(edit: Edit) -> Callable[..., Any]:
        def change(_module: nn.Module, args: Any, kwargs: Any) -> Any:
            if "hidden_states" in kwargs:
                return args, {**kwargs, "hidden_states": edit(kwargs["hidden_states"])}
            return (edit(args[0]), *args[1:]), kwargs

        return change

    with ExitStack() as hooks:
        for module, edit in edits.items():
            hooks.enter_context(module.register_forward_pre_hook(hook(edit), with_kwargs=True))
        yield


@contextmanager
def patched_outputs(edits: Mapping[nn.Module, Edit]) -> Iterator[None]:
    """Meanwhile every module answers `edit` of its output, or of the first of several."""

    def hook(edit: Edit) -> Callable[..., Any]:
        return lambda _m, _a, out: (edit(out[0]), *out[1:]) if isinstance(out, tuple) else edit(out)

    with ExitStack() as hooks:
        for module, edit in edits.items():
            hooks.enter_context(module.register_forward_hook(hook(edit)))
        yield


@contextmanager
def patched_forwards(functions: Mapping[nn.Module, Callable[..., Any]]) -> Iterator[None]:
    """Meanwhile these functions run in place of the modules' own `forward`; hooks are called as ever."""
    before = [(module, module.__dict__.get("forward")) for module in functions]
    try:
        for module, function in functions.items():
            module.forward = function
        yield
    finally:
        for module, forward in before:
            module.__dict__.pop("forward", None)
            if forward is not None:
                module.forward = forward


def hooked(module: nn.Module) -> bool:
    """Whether somebody looks at what this module reads or answers."""
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


@contextmanager
def unhooked(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Meanwhile no hook on these modules is called but those that are added within."""
    before = [(module, module._forward_hooks, module._forward_pre_hooks) for module in modules]
    try:
        for module, _, _ in before:
            module._forward_hooks, module._forward_pre_hooks = OrderedDict(), OrderedDict()
        yield
    finally:
        for module, after, ahead in before:
            module._forward_hooks, module._forward_pre_hooks = after, ahead
