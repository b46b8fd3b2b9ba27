"""Matplotlib's SVG made fit for a page: it follows the page's colours, font, width and its readers' aids.

Matplotlib knows no CSS variable, so plots are drawn in stand-in colours, and each stand-in becomes
`var(--NAME)` here: one drawing serves light and dark.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from lakeloop.domain.base import sha256_hex

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STAND_INS = {
    "challenger": "#0000f1",
    "champion": "#0000f2",
    "ink": "#0000f3",
    "muted": "#0000f4",
    "rule": "#0000f5",
    "good": "#0000f6",
    "bad": "#0000f7",
}
SVG_NAMESPACE = "http://www.w3.org/2000/svg"
_LINK = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_KEEP_ONLY = {"Date": None, "Creator": None, "Format": None, "Type": None}


def inline_svg(figure: Figure, name: str, description: str) -> str:
    """The figure as one `<svg>` element, ids unique to `name`, described for those who cannot see it."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_KEEP_ONLY)
    root = ET.fromstring(buffer.getvalue())  # noqa: S314 - our own drawing, not input
    _describe(root, name, description)
    _tidy(root, sha256_hex(name)[:6])
    ET.register_namespace("", SVG_NAMESPACE)
    return ET.tostring(root, encoding="unicode")


def _describe(root: ET.Element, name: str, description: str) -> None:
    for side in ("width", "height"):
        root.attrib.pop(side, None)
    root.set("role", "img")
    root.set("aria-label", description)
    root.set("class", f"plot plot-{name}")
    for style in root.findall(f".//{{{SVG_NAMESPACE}}}defs/{{{SVG_NAMESPACE}}}style/.."):
        root.remove(style)


def _tidy(root: ET.Element, suffix: str) -> None:
    referred = {link[1:] for node in root.iter() if (link := node.get(_LINK))}
    referred |= {clip[5:-1] for node in root.iter() if (clip := node.get("clip-path"))}
    for node in root.iter():
        _tidy_id(node, referred, suffix)
        if "style" in node.attrib:
            node.set("style", _page_style(node.attrib["style"]))
        if "d" in node.attrib:
            node.set("d", " ".join(_NUMBER.sub(_rounded, node.attrib["d"]).split()))
        if node.text and not node.text.strip():
            node.text = None
        node.tail = None


def _tidy_id(node: ET.Element, referred: set[str], suffix: str) -> None:
    """Keep only ids that something refers to, made unique in the page; links in SVG 2's form."""
    own = node.attrib.pop("id", None)
    if own in referred:
        node.set("id", f"{own}-{suffix}")
    link = node.attrib.pop(_LINK, None)
    if link:
        node.set("href", f"{link}-{suffix}")
    clip = node.get("clip-path")
    if clip:
        node.set("clip-path", f"{clip[:-1]}-{suffix})")


def _page_style(style: str) -> str:
    for name, stand_in in STAND_INS.items():
        style = style.replace(stand_in, f"var(--{name})")
    parts = (part.strip() for part in style.split(";"))
    return "; ".join(part for part in parts if part and not part.startswith("font-family"))


def _rounded(match: re.Match[str]) -> str:
    return f"{float(match.group()):.1f}"
