"""Counter-based random numbers: every copy of a batch has a key, and no draw changes any state.

A number is a hash of (key, position), so copy ``b`` of a batch draws the same numbers alone, in a
batch of a thousand, and in another process, and numpy never loops over copies. The hash is
SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014),
whose output function passes BigCrush.

>>> keys = make_keys(seed=7, copies=3)
>>> uniform(keys, (2,)).shape
(3, 2)
>>> bool((uniform(keys)[1:] == uniform(make_keys(seed=8, copies=2))).all())
True
>>> policy_keys, world_keys = split(keys, 2)
>>> bool((policy_keys == world_keys).any())
False
"""

from __future__ import annotations

import math
import zlib
from statistics import NormalDist

import numpy as np

from envs.contract.pytree import Floats, Ints, Keys

# The constants are uint64 scalars: Python integers would overflow in mixed expressions.
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
# An odd multiplier is invertible modulo 2**64: different data always give different words.
_FOLD = np.uint64(0xD1342543DE82EF95)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11), np.uint64(32))
_LOW = np.uint64(0xFFFFFFFF)
_RESOLUTION = np.float32(2.0**-32)
_FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
# The bytes of "next": far from the small numbers by which worlds name their random streams.
_NEXT_EPISODE = 0x6E657874


def make_keys(seed: int, copies: int) -> Keys:
    """Return keys [B] of a batch; copy b has that of a single environment seeded seed + b."""
    # Overflow is modular arithmetic here; scalars would warn about it where arrays stay silent.
    with np.errstate(over="ignore"):
        return make_keys_from_seeds(np.uint64(seed % 2**64) + np.arange(copies, dtype=np.uint64))


def make_keys_from_seeds(seeds: Keys) -> Keys:
    """Return the keys [B] of single environments with seeds [B] (unsigned whole numbers)."""
    with np.errstate(over="ignore"):
        # Hashed, because keys of consecutive seeds must not differ by a multiple of the increment
        # in ``bits``: their streams would be shifted copies of each other.
        return _mix(_mix(seeds) ^ _FOLD)


def derive_seed(seed: int, purpose: str) -> int:
    """Return a seed for one purpose whose random numbers are independent of those of ``seed``.

    Gymnasium seeds environments and spaces alike: an action space with the environment's seed
    draws the same numbers as the environment, so that random actions correlate with rewards.
    """
    words = np.random.SeedSequence([seed, zlib.crc32(purpose.encode())])
    # 63 bits, so that the seed also fits a signed integer.
    return int(words.generate_state(1, np.uint64)[0] >> np.uint64(1))


def fold(key: Keys, data: int | Ints) -> Keys:
    """Derive keys [B] from keys [B] and a whole number, one for all or one per copy [B]."""
    # Hashed before they meet the key: small numbers would change only its lowest bits.
    number = np.asarray(data).astype(np.uint64)
    with np.errstate(over="ignore"):
        return _mix(key ^ _mix(number * _FOLD + _GOLDEN))


def split(key: Keys, parts: int) -> tuple[Keys, ...]:
    """Return ``parts`` independent keys [B] from keys [B], one for each purpose."""
    return tuple(fold(key, part) for part in range(parts))


def next_episode(key: Keys) -> Keys:
    """Return the keys [B] of the episodes that follow those of keys [B]."""
    return fold(key, _NEXT_EPISODE)


def bits(key: Keys, count: int) -> Keys:
    """Draw random 64-bit words [B, count] from keys [B]."""
    with np.errstate(over="ignore"):
        # SplitMix64 advances its state by a constant, so word i needs none of the words before it.
        steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
        return _mix(key[:, None] + steps)


def uniform(key: Keys, shape: tuple[int, ...] = ()) -> Floats:
    """Draw uniform numbers in [0, 1) [B, *shape] from keys [B], 53 bits each."""
    # A double has 53 bits of precision: with all 64 the largest words would round up to 1.0.
    words = bits(key, math.prod(shape)) >> _SHIFTS[3]
    return (words * 2.0**-53).reshape(len(key), *shape)


def normal(key: Keys, shape: tuple[int, ...] = ()) -> Floats:
    """Draw standard normal numbers [B, *shape] from keys [B], by Box and Muller (1958).

    In single precision, whose logarithm and cosine are ten times as fast; from 32 bits each.
    """
    count = math.prod(shape)
    # Each word gives two numbers (radius and angle); with an odd count one is dropped.
    pairs = (count + 1) // 2
    words = bits(key, pairs)
    # In (0, 1], so that the logarithm is finite.
    u = (words >> _SHIFTS[4]).astype(np.float32) * _RESOLUTION + _RESOLUTION
    angle = (words & _LOW).astype(np.float32) * (_RESOLUTION * np.float32(2 * np.pi))
    radius = np.sqrt(np.float32(-2) * np.log(u))
    numbers = np.empty((len(key), 2 * pairs), np.float32)
    # Cosines fill the first half of one buffer and sines the second: no interleaving copy.
    np.multiply(radius, np.cos(angle), out=numbers[:, :pairs])
    np.multiply(radius, np.sin(angle), out=numbers[:, pairs:])
    return numbers[:, :count].reshape(len(key), *shape)


def integers(key: Keys, high: int | Ints, shape: tuple[int, ...] = ()) -> Ints:
    """Draw whole numbers in [0, high) [B, *shape] from keys [B]; high may differ by copy [B]."""
    # [B] becomes [B, 1, ...], to broadcast against [B, *shape].
    bound = np.asarray(high).reshape(-1, *(1 for _ in shape))
    # The bias of scaling 53-bit uniforms is below high / 2**53; rejection would need a varying
    # number of draws per copy.
    return np.floor(uniform(key, shape) * bound).astype(np.int64)


def low_discrepancy(count: int, dimensions: int, skip: int = 0) -> Floats:
    """Return evenly spread points in (0, 1) [count, dimensions] of one fixed sequence.

    The Kronecker sequence on the generalised golden ratio (Roberts, 2018, "R_d"); in one dimension
    it is the golden-ratio sequence.

    Args:
        count: the number of points.
        dimensions: their dimension.
        skip: the number of points of the sequence to leave out before the first.
    """
    # The fixed point of x = (1 + x)^(1 / (d + 1)): 64 iterations reach double precision.
    ratio = 2.0
    for _ in range(64):
        ratio = (1 + ratio) ** (1 / (dimensions + 1))
    steps = ratio ** -np.arange(1.0, dimensions + 1)
    # The steps are irrational: no multiple of them plus a half is whole, so no point is 0, where
    # normal quantiles are infinite.
    return (0.5 + np.arange(skip + 1, skip + count + 1)[:, None] * steps) % 1.0


def normal_quantiles(u: Floats) -> Floats:
    """Return standard normal quantiles of probabilities in (0, 1), any shape."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse(p) for p in u.ravel().tolist()]).reshape(u.shape)


def _mix(z: Keys) -> Keys:
    """Apply SplitMix64's output function."""
    # Shifts and multipliers are the published ones (Stafford's variant 13); every step is a
    # bijection, so distinct inputs never collide.
    z = (z ^ (z >> _SHIFTS[0])) * _FACTORS[0]
    z = (z ^ (z >> _SHIFTS[1])) * _FACTORS[1]
    return z ^ (z >> _SHIFTS[2])
