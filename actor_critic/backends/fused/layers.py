"""Network layers as compiled functions over flat arrays: forward, backward and their parts.

A layer is a row of ``COLUMNS`` integers: sizes, activation, offsets of its weights and biases in the flat parameter
buffer, and the geometry of a convolution. BLAS computes matrix products. All arrays are contiguous.

If most inputs are 0, such as those of one-hot vectors, the first layer has ENTRIES > 0. Then it takes sparse rows
[2 · ENTRIES]: the positions of the inputs that are not 0, and after them these inputs.

:func:`forward`, :func:`backward` and the convolutions take long to compile, so each is compiled once and called at its
address in a table; see :func:`layer_addresses`.
"""

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import boolean, float32, int64, void

from actor_critic.backends.fused.records import ADDRESSES, BACKWARD, CONVOLVE, CONVOLVE_BACK, FORWARD
from actor_critic.compiling import Array, address_of, calling, compiled, compiled_with, multiply

COLUMNS = 11
INPUTS, OUTPUTS, ACTIVATION, WEIGHTS, BIASES, ENTRIES, CHANNELS, HEIGHT, WIDTH, SIDE, STRIDE = range(COLUMNS)
"""Columns of a layer. The last five describe the input and filters of a convolution; SIDE is 0 in a linear layer."""

TANH, RELU, ELU, SILU, GELU, NONE = range(6)

FLOATS, ROWS, INTEGERS, INTEGER_ROWS = float32[::1], float32[:, ::1], int64[::1], int64[:, ::1]
"""Types of contiguous arrays in the signatures of functions that are called at their addresses."""

_FORWARD = ROWS(ROWS, FLOATS, INTEGER_ROWS, INTEGERS, FLOATS, FLOATS)
_BACKWARD = FLOATS(ROWS, FLOATS, FLOATS, INTEGER_ROWS, INTEGERS, FLOATS, FLOATS, FLOATS, FLOATS, boolean)
_CONVOLVE = void(ROWS, FLOATS, INTEGERS, ROWS)
_CONVOLVE_BACK = void(ROWS, FLOATS, FLOATS, INTEGERS, ROWS, ROWS, boolean)

_call_forward, _call_backward = calling(_FORWARD), calling(_BACKWARD)
_call_convolve, _call_convolve_back = calling(_CONVOLVE), calling(_CONVOLVE_BACK)

CHUNK = 512  # rows processed at a time, so that layer outputs fit in the CPU cache
PLACES_TOGETHER = 512  # output positions convolved at a time, which fit in the CPU cache


@compiled
def activate(z: Array, y: Array, kind: int) -> None:
    """Y ← f(z), elementwise; both 2-D and contiguous. tanh is a rational approximation (degree 13 over 6)."""
    a = z.ravel()
    b = y.ravel()
    if kind == TANH:
        for i in range(a.size):
            x = min(max(a[i], np.float32(-7.90531110763549805)), np.float32(7.90531110763549805))
            s = x * x
            p = np.float32(-2.76076847742355e-16)
            p = p * s + np.float32(2.00018790482477e-13)
            p = p * s + np.float32(-8.60467152213735e-11)
            p = p * s + np.float32(5.12229709037114e-08)
            p = p * s + np.float32(1.48572235717979e-05)
            p = p * s + np.float32(6.37261928875436e-04)
            p = p * s + np.float32(4.89352455891786e-03)
            q = np.float32(1.19825839466702e-06)
            q = q * s + np.float32(1.18534705686654e-04)
            q = q * s + np.float32(2.26843463243900e-03)
            q = q * s + np.float32(4.89352518554385e-03)
            b[i] = x * p / q
    elif kind == RELU:
        for i in range(a.size):
            b[i] = max(a[i], np.float32(0.0))
    elif kind == ELU:
        for i in range(a.size):
            b[i] = a[i] if a[i] > 0 else np.float32(math.expm1(a[i]))
    elif kind == SILU:
        for i in range(a.size):
            b[i] = a[i] / (np.float32(1.0) + np.float32(math.exp(-a[i])))
    else:
        for i in range(a.size):
            b[i] = np.float32(0.5) * a[i] * (np.float32(1.0) + np.float32(math.erf(a[i] * np.float32(math.sqrt(0.5)))))


@compiled
def deactivate(d: Array, z: Array, y: Array, kind: int) -> None:
    """D ← d · f'(z), given z and y = f(z)."""
    g = d.ravel()
    a = z.ravel()
    b = y.ravel()
    one = np.float32(1.0)
    if kind == TANH:
        for i in range(g.size):
            g[i] *= one - b[i] * b[i]
    elif kind == RELU:
        for i in range(g.size):
            g[i] = g[i] if b[i] > 0 else np.float32(0.0)
    elif kind == ELU:
        for i in range(g.size):
            g[i] *= one if a[i] > 0 else b[i] + one
    elif kind == SILU:
        for i in range(g.size):
            s = one / (one + np.float32(math.exp(-a[i])))
            g[i] *= s * (one + a[i] * (one - s))
    else:
        for i in range(g.size):
            x = a[i]
            cdf = np.float32(0.5) * (one + np.float32(math.erf(x * np.float32(math.sqrt(0.5)))))
            pdf = np.float32(math.exp(-0.5 * x * x)) * np.float32(0.3989422804014327)
            g[i] *= cdf + x * pdf


@compiled
def unfold(x: Array, layer: Array, workspace: Array) -> Array:
    """Return the inputs [K, n · P] of the K filter entries at all P output positions of images x [n, C · H · W]."""
    height, width, side, stride = layer[HEIGHT], layer[WIDTH], layer[SIDE], layer[STRIDE]
    down, across = (height - side) // stride + 1, (width - side) // stride + 1
    entries, size = layer[CHANNELS] * side * side, x.shape[0] * down * across
    columns = workspace[: entries * size].reshape(entries, size)
    for k in range(entries):
        start = (k // (side * side) * height + k // side % side) * width + k % side
        at = 0
        for r in range(x.shape[0]):
            for i in range(down):
                # Indices into slices cannot be negative, so the compiler can vectorise the loop.
                met, into = x[r, start + i * stride * width :], columns[k, at : at + across]
                if stride == 1:
                    for j in range(across):
                        into[j] = met[j]
                else:
                    for j in range(across):
                        into[j] = met[j * stride]
                at += across
    return columns


@compiled
def fold(columns: Array, layer: Array, x: Array) -> None:
    """X [n, C · H · W] ← columns [K, n · P], summed at the pixel that :func:`unfold` takes them from."""
    height, width, side, stride = layer[HEIGHT], layer[WIDTH], layer[SIDE], layer[STRIDE]
    down, across = (height - side) // stride + 1, (width - side) // stride + 1
    x[:] = np.float32(0.0)
    for k in range(columns.shape[0]):
        start = (k // (side * side) * height + k // side % side) * width + k % side
        at = 0
        for r in range(x.shape[0]):
            for i in range(down):
                met, of = x[r, start + i * stride * width :], columns[k, at : at + across]
                for j in range(across):
                    met[j * stride] += of[j]
                at += across


@compiled
def filters(layer: Array, n: int) -> tuple[int, int, int, int]:
    """Return for a convolution: filters, entries K per filter, output positions P, and images to convolve at a time."""
    side, stride = layer[SIDE], layer[STRIDE]
    places = ((layer[HEIGHT] - side) // stride + 1) * ((layer[WIDTH] - side) // stride + 1)
    together = max(1, min(PLACES_TOGETHER // places, n))
    return layer[OUTPUTS] // places, layer[CHANNELS] * side * side, places, together


@compiled
def _convolve(x: Array, params: Array, layer: Array, z: Array) -> None:
    """Z [n, filters · P] ← images x [n, C · H · W] convolved."""
    count, entries, places, together = filters(layer, x.shape[0])
    weight = params[layer[WEIGHTS] : layer[WEIGHTS] + count * entries].reshape(count, entries)
    columns, maps = np.empty(entries * together * places, np.float32), np.empty(count * together * places, np.float32)
    for first in range(0, x.shape[0], together):
        unfolded = unfold(x[first : first + together], layer, columns)
        product = maps[: count * unfolded.shape[1]].reshape(count, unfolded.shape[1])
        multiply(weight, False, unfolded, False, product, False)
        for r in range(unfolded.shape[1] // places):
            for c in range(count):
                bias = params[layer[BIASES] + c]
                found, into = product[c, r * places :], z[first + r, c * places :]
                for j in range(places):
                    into[j] = found[j] + bias


# With "reassoc", the CPU sums in vectors, whose width fixes the order; this is ten times faster than one sum.
@compiled_with(fastmath={"reassoc"})
def plain_sum(numbers: Array) -> Any:
    """Σ x in float32."""
    total = np.float32(0.0)
    for j in range(numbers.size):
        total += numbers[j]
    return total


@compiled
def _convolve_back(
    x: Array, params: Array, grads: Array, layer: Array, delta: Array, below: Array, wanted: bool
) -> None:
    """Gradients of a convolution from delta = ∂L/∂z [n, filters · P]; if ``wanted``, below [n, C · H · W] ← ∂L/∂x."""
    count, entries, places, together = filters(layer, x.shape[0])
    weights = slice(layer[WEIGHTS], layer[WEIGHTS] + count * entries)
    weight = params[weights].reshape(count, entries)
    slopes = grads[weights].reshape(count, entries)
    bias_slopes = grads[layer[BIASES] : layer[BIASES] + count]
    slopes[:] = np.float32(0.0)
    bias_slopes[:] = np.float32(0.0)
    columns, maps = np.empty(entries * together * places, np.float32), np.empty(count * together * places, np.float32)
    for first in range(0, x.shape[0], together):
        unfolded = unfold(x[first : first + together], layer, columns)
        product = maps[: count * unfolded.shape[1]].reshape(count, unfolded.shape[1])
        for c in range(count):
            for r in range(unfolded.shape[1] // places):
                given, into = delta[first + r, c * places :], product[c, r * places :]
                for j in range(places):
                    into[j] = given[j]
            bias_slopes[c] += plain_sum(product[c])
        multiply(product, False, unfolded, True, slopes, True)
        if wanted:
            multiply(weight, True, product, False, unfolded, False)
            fold(unfolded, layer, below[first : first + together])


@compiled
def sparse(x: Array, layers: Array) -> Array:
    """Return the rows of x [n, F] as the first layer takes them."""
    entries = layers[0, ENTRIES]
    if entries == 0:
        return x
    rows = np.zeros((x.shape[0], 2 * entries), np.float32)
    for r in range(x.shape[0]):
        found = 0
        row = x[r]
        for j in range(row.size):
            if row[j] != 0 and found < entries:
                rows[r, found] = j
                rows[r, entries + found] = row[j]
                found += 1
    return rows


@compiled
def sparse_product(x: Array, weight: Array, z: Array) -> None:
    """Z [n, o] ← sparse rows x times the transposed weight [o, i]."""
    entries = x.shape[1] // 2
    for r in range(x.shape[0]):
        z[r] = np.float32(0.0)
        for k in range(entries):
            at, number = int(x[r, k]), x[r, entries + k]
            for c in range(z.shape[1]):
                z[r, c] += weight[c, at] * number


@compiled
def sparse_slopes(delta: Array, x: Array, slopes: Array) -> None:
    """Write the gradient of the weight [o, i] from delta [n, o] and sparse rows x."""
    entries = x.shape[1] // 2
    slopes[:] = np.float32(0.0)
    for r in range(x.shape[0]):
        for k in range(entries):
            at, number = int(x[r, k]), x[r, entries + k]
            for c in range(delta.shape[1]):
                slopes[c, at] += delta[r, c] * number


@compiled
def forward(x: Array, params: Array, layers: Array, table: Array, zs: Array, ys: Array) -> Array:
    """Run layers on the rows x, and return the outputs.

    zs and ys are flat workspaces for the outputs [n, outputs] of each layer before and after its activation.
    """
    return _call_forward(table[FORWARD], x, params, layers, table, zs, ys)


@compiled
def _forward(x: Array, params: Array, layers: Array, table: Array, zs: Array, ys: Array) -> Array:
    n = x.shape[0]
    h = x
    at = 0
    for index in range(layers.shape[0]):
        layer = layers[index]
        i, o, w, b = layer[INPUTS], layer[OUTPUTS], layer[WEIGHTS], layer[BIASES]
        z = zs[at : at + n * o].reshape(n, o)
        if layer[SIDE] > 0:
            _call_convolve(table[CONVOLVE], h, params, layer, z)
        else:
            weight = params[w : w + i * o].reshape(o, i)
            if layer[ENTRIES] > 0:
                sparse_product(h, weight, z)
            else:
                multiply(h, False, weight, True, z, False)
            biases = params[b : b + o]
            for r in range(n):
                row = z[r]  # indices into slices cannot be negative, so the compiler can vectorise the loop
                for c in range(o):
                    row[c] += biases[c]
        if layer[ACTIVATION] == NONE:
            h = z
        else:
            y = ys[at : at + n * o].reshape(n, o)
            activate(z, y, layer[ACTIVATION])
            h = y
        at += n * o
    return h


@compiled
def column_sums(d: Array, sums: Array) -> None:
    """Set sums [o] to the sum over the rows of d [n, o]."""
    sums[:] = np.float32(0.0)
    for r in range(d.shape[0]):
        row = d[r]
        for c in range(row.size):
            sums[c] += row[c]


@compiled
def backward(
    x: Array, params: Array, grads: Array, layers: Array, table: Array, zs: Array, ys: Array, d: Array, other: Array,
    wants_input: bool,
) -> Array:  # fmt: skip
    """Gradients of layers from d = ∂L/∂(last output) in a flat workspace; ``other`` is a second one of the same size.

    Writes the gradients of weights and biases into grads. Returns ∂L/∂x in a workspace if ``wants_input``; otherwise
    the result has no meaning.
    """
    return _call_backward(table[BACKWARD], x, params, grads, layers, table, zs, ys, d, other, wants_input)


@compiled
def _backward(
    x: Array, params: Array, grads: Array, layers: Array, table: Array, zs: Array, ys: Array, d: Array, other: Array,
    wants_input: bool,
) -> Array:  # fmt: skip
    n = x.shape[0]
    ends = 0
    for index in range(layers.shape[0]):
        ends += n * layers[index, OUTPUTS]
    for index in range(layers.shape[0] - 1, -1, -1):
        layer = layers[index]
        i, o, w, b = layer[INPUTS], layer[OUTPUTS], layer[WEIGHTS], layer[BIASES]
        ends -= n * o
        delta = d[: n * o].reshape(n, o)
        if layer[ACTIVATION] != NONE:
            deactivate(
                delta, zs[ends : ends + n * o].reshape(n, o), ys[ends : ends + n * o].reshape(n, o), layer[ACTIVATION]
            )
        inputs = x if index == 0 else ys[ends - n * i : ends].reshape(n, i)
        wanted = index > 0 or wants_input
        if layer[SIDE] > 0:
            below = other[: n * i].reshape(n, i)
            _call_convolve_back(table[CONVOLVE_BACK], inputs, params, grads, layer, delta, below, wanted)
        else:
            slopes = grads[w : w + i * o].reshape(o, i)
            if layer[ENTRIES] > 0:
                sparse_slopes(delta, inputs, slopes)
            else:
                multiply(delta, True, inputs, False, slopes, False)
            column_sums(delta, grads[b : b + o])
            if wanted:
                below = other[: n * i].reshape(n, i)
                multiply(delta, False, params[w : w + i * o].reshape(o, i), False, below, False)
        if wanted:
            d, other = other, d
    return d


@compiled
def widths(layers: Array) -> tuple[int, int]:
    """Return the largest width (inputs or outputs) of all layers, and the sum of their outputs."""
    most, total = 1, 0
    for index in range(layers.shape[0]):
        most = max(most, layers[index, INPUTS], layers[index, OUTPUTS])
        total += layers[index, OUTPUTS]
    return most, total


@functools.cache
def layer_addresses(convolves: bool, learns: bool) -> npt.NDArray[np.int64]:
    """Compile the functions that layers need, or load them from the cache; return their addresses [ADDRESSES].

    Args:
        convolves: Whether a layer is a convolution. Otherwise none is compiled.
        learns: Whether gradients are computed.
    """
    table = np.zeros(ADDRESSES, np.int64)
    table[FORWARD] = address_of(_forward, _FORWARD)
    if learns:
        table[BACKWARD] = address_of(_backward, _BACKWARD)
    if convolves:
        table[CONVOLVE] = address_of(_convolve, _CONVOLVE)
    if convolves and learns:
        table[CONVOLVE_BACK] = address_of(_convolve_back, _CONVOLVE_BACK)
    return table
