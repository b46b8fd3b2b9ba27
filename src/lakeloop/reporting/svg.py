"""Matplotlib's SVG made fit for a page: it follows the page's colours, font, width and its readers' aids.

Matplotlib knows no CSS variable, so plots are drawn in stand-in colours, and each stand-in becomes
`var(--NAME)` here: one drawing serves light and dark.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
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
ON_WHITE = {
    "challenger": "#1265c4",
    "champion": "#b05c00",
    "ink": "#1b2430",
    "muted": "#5b6776",
    "rule": "#e2e6eb",
    "good": "#1a7a45",
    "bad": "#b8272c",
}
"""The page's colours by day (style.css), for a picture that stands alone."""
PNG_DPI = 160
_LINK = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_KEEP_ONLY = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True)
class Drawing:
    """A figure, for a page or as a picture of its own.

    Args:
        figure: in the stand-in colours.
        name: makes ids unique.
        description: for those who cannot see it.
    """

    figure: Figure
    name: str
    description: str

    @property
    def svg(self) -> str:
        """One `<svg>` element in the page's colours."""
        return inline_svg(self.figure, self.name, self.description)

    def png(self) -> bytes:
        """A picture on white, the same bytes each time."""
        buffer = io.BytesIO()
        _on_white(self.figure)
        self.figure.savefig(buffer, format="png", dpi=PNG_DPI, facecolor="white", metadata={"Software": None})
        return buffer.getvalue()


def _on_white(figure: Figure) -> None:
    """Stand-in colours become real ones, wherever an artist has one; what is drawn translucent stays so."""
    from matplotlib.colors import to_rgba

    real = {to_rgba(STAND_INS[name])[:3]: to_rgba(colour)[:3] for name, colour in ON_WHITE.items()}

    def seen(colour: Any) -> Any:
        red, green, blue, alpha = to_rgba(colour)
        return (*real[red, green, blue], alpha) if (red, green, blue) in real else None

    for artist in figure.findobj():
        for kind in ("color", "facecolor", "edgecolor"):
            get, change = getattr(artist, f"get_{kind}", None), getattr(artist, f"set_{kind}", None)
            if get is None or change is None:
                continue
            try:
                colour = seen(get())
            except ValueError:  # a list of colours, which no drawing of ours has in stand-ins
                continue
            if colour is not None:
                change(colour)


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
