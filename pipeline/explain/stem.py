"""The first layers of a classifier: run up to a named layer, and choose a layer worth stopping at."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from pipeline.errors import InputError, did_you_mean
from pipeline.explain.frozen import frozen

STRIDE = 4
"""The default layer keeps at least every fourth row and column of the input."""
_POOLS = (nn.MaxPool2d, nn.AvgPool2d)


class _ReachedError(Exception):
    """Thrown by the hook of the last layer wanted, so that nothing behind it runs."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output


class Stem:
    """Layers 1..l of a classifier as a function of its input."""

    def __init__(self, model: nn.Module, layer: str | None, image: Tensor) -> None:
        """Stop behind the module called `layer`, the first time that it runs.

        Args:
            model: any module.
            layer: a name of `model.named_modules()`; None takes `default_layer`.
            image: network input (1, C, H, W), which the default layer is found with.

        Raises:
            InputError: there is no such layer, or no default one.
        """
        modules = {name: module for name, module in model.named_modules() if name}
        if layer is not None and layer not in modules:
            raise InputError(f"The model has no layer {layer!r}. {did_you_mean(layer, modules)}")
        self.model = model
        self.layer = layer or default_layer(model, image)
        self._module = modules[self.layer]

    def __call__(self, inputs: Tensor) -> Tensor:
        """Activations (n, ...) of the layer for network input (n, C, H, W); differentiable if gradients are on.

        Raises:
            InputError: the layer does not run, or its output is no tensor.
        """
        handle = self._module.register_forward_hook(_stop)
        try:
            self.model(inputs)
        except _ReachedError as reached:
            return reached.output
        finally:
            handle.remove()
        raise InputError(f"Layer {self.layer!r} does not run, or puts out no tensor. Choose another one.")


def default_layer(model: nn.Module, image: Tensor) -> str:
    """Name of the layer where decoys are constrained unless the user names one.

    Lu et al. say neither which layer they took nor how to choose one. We take the last block (module with
    children) or pooling, in order of running, whose output is a feature map of at least 1/4 of the input's height
    and width and which no path bypasses: then whatever leaves its output alone leaves the classifier alone.
    A plain network without blocks gives the last such module of any kind. Examples: the second pooling of a VGG and
    of `models.small`, layer1 of a ResNet, the first dense block of a DenseNet.

    Args:
        model: classifier.
        image: network input (1, C, H, W) to run it on.

    Raises:
        InputError: there is none.
    """
    with frozen(model):
        maps = _fine_maps(model, image)
        blocks = [name for name, module in maps.items() if any(module.children()) or isinstance(module, _POOLS)]
        for name in [*reversed(blocks), *reversed(maps)]:
            if not _is_bypassed(model, maps[name], image):
                return name
    raise InputError(
        "Decoys need a hidden layer whose output is a feature map of at least 1/4 of the input's size and which no "
        "path bypasses; this model has none. Name a layer with the option `layer`."
    )


def _fine_maps(model: nn.Module, image: Tensor) -> dict[str, nn.Module]:
    """Modules inside `model` that put out a feature map of at least 1/`STRIDE` of the image, in order of finishing."""
    found: dict[str, nn.Module] = {}
    smallest = [side // STRIDE for side in image.shape[-2:]]

    def keep(name: str, module: nn.Module, output: object) -> None:
        if isinstance(output, Tensor) and output.dim() == 4 and all(map(operator.ge, output.shape[-2:], smallest)):
            found.setdefault(name, module)

    handles = [
        module.register_forward_hook(lambda module, _, output, name=name: keep(name, module, output))
        for name, module in model.named_modules()
        if name
    ]
    with _removed_after(handles), torch.no_grad():
        model(image)
    return found


def _is_bypassed(model: nn.Module, module: nn.Module, image: Tensor) -> bool:
    """Whether the classifier's output depends on its input by a way that does not lead through `module`."""
    leaf = image.detach().requires_grad_()
    handle = module.register_forward_hook(lambda _module, _inputs, output: output.detach().requires_grad_())
    with _removed_after([handle]), torch.enable_grad():
        (way,) = torch.autograd.grad(model(leaf).sum(), leaf, allow_unused=True)
    return way is not None


def _stop(_module: nn.Module, _inputs: object, output: object) -> None:
    if isinstance(output, Tensor):
        raise _ReachedError(output)


@contextmanager
def _removed_after(handles: list[torch.utils.hooks.RemovableHandle]) -> Iterator[None]:
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
