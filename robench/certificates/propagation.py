"""Bounds of every value of a network, carried along its graph from the image to the logits."""

import math
import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from robench.base.layer_bound import Bounded, LayerBound
from robench.certificates.bounds import EXACT, Value, added, image, through
from robench.certificates.layers import bound_of
from robench.errors import UserError, first_line
from robench.system.out_of_memory import is_out_of_memory

ADDITIONS = (operator.add, operator.iadd, torch.add)
EXACT_FUNCTIONS = (torch.relu, torch.relu_, F.relu, F.relu_, torch.flatten)
EXACT_METHODS = ("relu", "relu_", "flatten", "view", "reshape", "contiguous", "clone")


@dataclass(frozen=True)
class Step:
    """A layer of the network and what is proved of it.

    Attributes:
        name: where it is in the network.
        kind: its class.
        layer: its bound.
    """

    name: str
    kind: str
    layer: LayerBound


class Propagation(fx.Interpreter):
    """Runs a network in float64 on the center of the box, and bounds its values on all of it.

    Args:
        network: the network, in eval mode and float64.
        shape: shape of an image, (C, H, W).

    Raises:
        UserError: if the network cannot be traced.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, int, int]) -> None:
        try:
            graph = _Tracer().trace(network)
        except Exception as error:  # data-dependent control flow, or other code not to be traced
            raise UserError(
                f"the network's forward cannot be followed ({first_line(error)}), so that nothing "
                f"is proved of it; write it as plain calls of layers and additions."
            ) from error
        super().__init__(fx.GraphModule(network, graph), garbage_collect_values=False)
        self.extra_traceback = False  # or fx adds its own lines to our sentences
        self.shape = shape
        self.bounds: dict[fx.Node, Value] = {}
        self.versions: dict[fx.Node, int] = {}
        self.steps: list[Step] = []

    @torch.no_grad()
    def follow(self) -> Value:
        """Return what is proved of the logits.

        Raises:
            UserError: if a part of the network has no proved bound; it names the part.
        """
        self.run(torch.full((1, *self.shape), 0.5, dtype=torch.float64))
        return self.bounds[self.last]

    @property
    def last(self) -> fx.Node:
        """The node of the logits.

        Raises:
            UserError: if the network returns something else besides.
        """
        nodes = self.module.graph.nodes  # type: ignore[union-attr]
        node = next(node for node in nodes if node.op == "output").args[0]  # type: ignore[union-attr]
        if not isinstance(node, fx.Node):
            raise UserError(
                "the network returns more than logits, so that nothing is proved of it."
            )
        return node

    def run_node(self, n: fx.Node) -> Any:
        """Run a node, and bound its value."""
        self._check_unchanged(n)
        try:
            result = super().run_node(n)
        except Exception as error:  # whatever the code of a layer may raise
            if is_out_of_memory(error):
                raise
            raise UserError(
                f"'{_named(n)}' of the network cannot be computed of one image in float64 "
                f"({first_line(error)}), so that nothing is proved of it."
            ) from error
        if n.op == "placeholder":
            if not self.bounds:  # other arguments keep their defaults, of which nothing is proved
                self.bounds[n] = image(self.shape)
        elif isinstance(result, Tensor) and n.op != "output":
            self.bounds[n] = self._bound(n, result)
        if isinstance(result, Tensor):
            self.versions[n] = result._version
        return result

    def _check_unchanged(self, n: fx.Node) -> None:
        """Raise an error if a value was changed in place since its bound was found.

        A tensor shares the count of its changes with all that view the same memory.
        """
        for node in n.all_input_nodes:
            if node in self.versions and self.env[node]._version != self.versions[node]:
                raise UserError(
                    f"'{_named(n)}' of the network takes the value of '{_named(node)}', which was "
                    f"changed in place before; change no value in place that is used again."
                )

    def _bound(self, n: fx.Node, result: Tensor) -> Value:
        if n.op == "get_attr":
            raise UserError(
                f"no bound is proved for a stored value in a forward, as '{n.target}' is; use "
                f"layers that have a bound."
            )
        if not result.ndim or len(result) != 1 or result.dtype != torch.float64:
            raise UserError(
                f"no bound is proved for the operation '{_named(n)}' of the network, which mixes "
                f"the images of a batch or reads bits as other numbers."
            )
        values = [self.bounds[node] for node in n.all_input_nodes if node in self.bounds]
        if n.op == "call_function" and n.target in ADDITIONS and self._adds_values(n):
            one, other = (self.bounds[node] for node in n.args)  # type: ignore[index]
            return added(one, other, self._size(one.lipschitz + other.lipschitz, result))
        if n.op == "call_module":
            if n.args != tuple(n.all_input_nodes) or n.kwargs or len(values) != 1:
                raise UserError(
                    f"layer '{n.target}' is called with more than the value before it, and bounds "
                    f"are of layers that are called with one value."
                )
            return self._after(self._layer(n), values[0], result)
        if len(values) == 1 and _is_exact(n):
            return self._after(EXACT, values[0], result)
        raise UserError(
            f"no bound is proved for the operation '{_named(n)}' of the network; use layers and "
            f"operations that have one, such as convolutions, ReLU, pools and additions."
        )

    def _adds_values(self, n: fx.Node) -> bool:
        """Return whether two values are added.

        Raises:
            UserError: if they have different shapes: the smaller one is added repeatedly.
        """
        if len(n.args) != 2 or n.kwargs or not all(node in self.bounds for node in n.args):
            return False
        one, other = (tuple(self.env[node].shape[1:]) for node in n.args)  # type: ignore[index]
        if one != other:
            raise UserError(
                f"no bound is proved for the sum of values of shapes {one} and {other}, one of "
                f"which is added repeatedly; add values of one shape."
            )
        return True

    def _layer(self, n: fx.Node) -> LayerBound:
        module = self.module.get_submodule(str(n.target))
        shape = tuple(self.env[n.all_input_nodes[0]].shape[1:])
        if module.training:  # some keep their dropout on
            raise UserError(f"layer '{n.target}': it stays in training mode after eval().")
        try:
            layer = bound_of(module, shape)
        except UserError as error:
            raise UserError(f"layer '{n.target}': {error}.") from None
        self.steps.append(Step(str(n.target), type(module).__name__, layer))
        return layer

    def _after(self, layer: LayerBound, value: Value, result: Tensor) -> Value:
        return through(layer, value, self._size(layer.norm * value.lipschitz, result))

    def _size(self, lipschitz: float, at_center: Tensor) -> float:
        """Bound the norm on all of the box, whose corners are sqrt(d) / 2 from its center."""
        reach = lipschitz * 0.5 * math.sqrt(math.prod(self.shape))
        return (float(at_center.norm()) + reach) * (1 + 1e-12)


def _is_exact(n: fx.Node) -> bool:
    return (n.op == "call_function" and n.target in EXACT_FUNCTIONS) or (
        n.op == "call_method" and n.target in EXACT_METHODS
    )


def _named(n: fx.Node) -> str:
    return n.target if isinstance(n.target, str) else getattr(n.target, "__name__", str(n.target))


class _Tracer(fx.Tracer):
    """A tracer that enters what is made of layers, except what has a bound as a whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        whole = isinstance(m, nn.Conv2d | Bounded) or not any(m.children())
        return whole or super().is_leaf_module(m, module_qualified_name)
