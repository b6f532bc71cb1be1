"""Colours that lie beside each other differ in lightness too: on a grey print, and for those who see few colours."""

import re
from itertools import pairwise

from traceana.render.page.environment import asset, environment

LEAST_APART = 8
"""Of 100: about what the eye tells apart in two neighbouring areas of a cheap print."""
STYLE = asset(environment(), "report.css")
SCHEMES = [dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in STYLE.split("prefers-color-scheme: dark")[:2]]


def luminance(colour: str) -> float:
    """Relative, from 0 to 1: https://www.w3.org/TR/WCAG21/#dfn-relative-luminance"""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def lightness(colour: str) -> float:
    """L* of CIELAB, from 0 to 100."""
    found = luminance(colour)
    return 116 * found ** (1 / 3) - 16 if found > 0.008856 else 903.3 * found


def contrast(one: str, other: str) -> float:
    """https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio"""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_what_a_rank_does_is_told_apart_without_colour() -> None:
    kinds = ("compute", "overlapped", "exposed", "waiting", "unknown", "memory", "idle")
    for scheme in SCHEMES:
        ordered = sorted(lightness(scheme[kind]) for kind in kinds)
        assert min(right - left for left, right in pairwise(ordered)) >= LEAST_APART


def test_text_can_be_read_on_its_ground() -> None:
    pairs = [(ink, ground) for ink in ("ink", "soft", "link") for ground in ("page", "card")]
    pairs += [(name, f"{name}-back") for name in ("good", "bad", "warn")]
    for scheme in SCHEMES:
        assert {
            pair: contrast(scheme[pair[0]], scheme[pair[1]])
            for pair in pairs
            if contrast(*(scheme[name] for name in pair)) < 4.5
        } == {}
