"""The features of an observation as functions, for plain Python and for compiled code."""

from collections.abc import Callable
from typing import Any

import numpy as np

from actor_critic.environments.functional.layout import Layout
from actor_critic.environments.functional.outputs import place_in
from actor_critic.spaces import BYTE_SCALE, ObservationPart

WritePart = Callable[[Any, Any], bool]
"""Takes the numbers of a part in one axis, and writes their features; returns whether all categories are allowed."""

WriteFeatures = Callable[[int, int, Any, Any], int]
"""Takes the first environment, the end, and the arrays ``seen`` [N, bytes] and ``features`` [N, F]."""


def feature_maker(layout: Layout) -> WriteFeatures:
    """Return the function that writes the features of observations, as ``networks.encode`` computes them.

    The function returns an environment with a category outside its space; −1 if there is none.
    """
    spec = layout.observations
    if spec.is_plain:  # the features are the observations
        return _nothing
    made: WriteFeatures = _nothing
    stop = spec.num_features
    for part in reversed(spec.parts):
        begin, end = place_in(spec.dtype, part.path) if spec.is_nested else (0, layout.out_size)
        start = stop - part.num_features
        made = _before(made, _encoder(part), np.dtype(part.dtype), begin, end, start, stop)
        stop = start
    return made


def _nothing(first: int, last: int, seen: Any, features: Any) -> int:
    return -1


def _before(
    rest: WriteFeatures, encode: WritePart, dtype: np.dtype[Any], begin: int, end: int, start: int, stop: int
) -> WriteFeatures:
    """Return the function that encodes the part in bytes ``begin`` to ``end`` − 1, and then the rest.

    Compiled code has no list of functions, so each calls the next one. All environments are viewed at once, because a
    view takes longer than a small part.
    """
    begin, end = begin // dtype.itemsize, end // dtype.itemsize  # parts are aligned

    def encode_from(first: int, last: int, seen: Any, features: Any) -> int:
        numbers = seen.view(dtype)
        for i in range(first, last):
            if not encode(numbers[i, begin:end], features[i, start:stop]):
                return i
        return rest(first, last, seen, features)

    return encode_from


def _encoder(part: ObservationPart) -> WritePart:
    if part.kind == "categories":
        return _one_hot(part)
    return _one_hot_codes(part) if part.codes else _converted(part)


def _one_hot(part: ObservationPart) -> WritePart:
    offsets, starts = np.cumsum([0, *part.sizes[:-1]]), np.array(part.starts, np.int64)
    sizes = np.array(part.sizes, np.int64)

    def one_hot(flat: Any, features: Any) -> bool:
        features[:] = 0.0
        for k in range(flat.size):
            category = flat[k] - starts[k]
            if category < 0 or category >= sizes[k]:
                return False
            features[category + offsets[k]] = 1.0
        return True

    return one_hot


def _one_hot_codes(part: ObservationPart) -> WritePart:
    channels, height, width = part.grid
    indices = np.arange(channels * height * width).reshape(part.shape)
    sources = (indices.transpose(part.order) if part.order else indices).reshape(-1).copy()
    area, codes, lowest, planes = height * width, part.codes, part.lowest, part.planes
    has_others, brightness = part.has_other_numbers, np.float32(BYTE_SCALE)

    def one_hot_codes(flat: Any, features: Any) -> bool:
        features[:] = 0.0
        for k in range(flat.size):
            number = flat[sources[k]]
            code, first = np.int64(number) - lowest, k // area * planes * area + k % area
            if 0 <= code < codes:
                features[first + code * area] = 1.0
            elif has_others:
                features[first + codes * area] = np.float32(number) * brightness
            else:
                return False
        return True

    return one_hot_codes


def _converted(part: ObservationPart) -> WritePart:
    places = np.arange(part.num_features).reshape(part.shape)
    if part.order:
        places = places.transpose(part.order)
    order, scale = places.reshape(-1).copy(), np.float32(part.scale)

    def converted(flat: Any, features: Any) -> bool:
        for k in range(flat.size):
            features[k] = np.float32(flat[order[k]]) * scale
        return True

    return converted
