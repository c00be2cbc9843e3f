"""Quantities in one unit as quantities in another, exactly or not at all; pure, no I/O.

Fractions and not decimals: sixty minutes are an hour, and a sixtieth has no last digit.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from math import floor, lcm

from resolvers.core.quantities import QUANTITY_STEP


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measure: ``factor`` of the reference unit of its dimension are one of it.

    ``rounding`` is the smallest part of it that there is.
    """

    code: str
    dimension: str
    factor: Decimal
    rounding: Decimal = QUANTITY_STEP

    @property
    def step(self) -> Fraction:
        """What quantities in it are multiples of: its rounding, and what is kept of a quantity."""
        return _common(Fraction(self.rounding), Fraction(QUANTITY_STEP))


def convert(quantity: Decimal, given: Unit, wanted: Unit) -> Decimal | None:
    """Return a quantity of the unit ``given`` in the one ``wanted``; None if that is not exact.

    Exact is what is a multiple of the step of either unit: nothing is ever rounded.

    Raises:
        ValueError: the units measure something different.

    """
    if Fraction(quantity) % _grid(given, wanted):
        return None
    return _decimal(Fraction(quantity) * Fraction(given.factor) / Fraction(wanted.factor))


def nearest(quantity: Decimal, given: Unit, wanted: Unit) -> tuple[Decimal, Decimal]:
    """Return the next smaller and the next larger quantity, in ``given``, that converts exactly.

    Raises:
        ValueError: the units measure something different.

    """
    grid = _grid(given, wanted)
    steps = Fraction(quantity) / grid
    below = floor(steps)
    above = below if steps == below else below + 1
    return _decimal(below * grid), _decimal(above * grid)


def _grid(given: Unit, wanted: Unit) -> Fraction:
    """Return the smallest quantity in ``given`` of which all that convert exactly are multiples."""
    if given.dimension != wanted.dimension:
        raise ValueError(f"{given.code} is of another dimension than {wanted.code}")
    return _common(given.step, wanted.step * Fraction(wanted.factor) / Fraction(given.factor))


def _common(one: Fraction, other: Fraction) -> Fraction:
    """Return the least common multiple of two fractions above 0."""
    scale = lcm(one.denominator, other.denominator)
    return Fraction(lcm(int(one * scale), int(other * scale)), scale)


def _decimal(value: Fraction) -> Decimal:
    """Return a multiple of the step of quantities with their decimals, however large it is."""
    steps = value / Fraction(QUANTITY_STEP)
    assert steps.denominator == 1
    # made of text, which no context of arithmetic rounds
    return Decimal(f"{steps.numerator}E-4")
