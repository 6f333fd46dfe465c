"""HTML that cannot be wrong: elements are made, and text in them is text whatever it holds."""

from __future__ import annotations

from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

Child = Element | str | None
"""None is nothing, so that a part that is not always there needs no branch."""


def e(tag: str, *children: Child | Iterable[Child], **attributes: str | None) -> Element:
    """An element; attributes that are None are left out, and ``class_`` is ``class``."""
    element = Element(tag)
    for name, value in attributes.items():
        if value is not None:
            element.set(name.rstrip("_").replace("_", "-"), value)
    for child in children:
        _append(element, child)
    return element


def _append(element: Element, child: Child | Iterable[Child]) -> None:
    if child is None:
        return
    if isinstance(child, str):
        if len(element):
            element[-1].tail = (element[-1].tail or "") + child
        else:
            element.text = (element.text or "") + child
    elif isinstance(child, Element):
        element.append(child)
    else:
        for one in child:
            _append(element, one)


def document(root: Element) -> str:
    return f"<!doctype html>\n{tostring(root, encoding='unicode', method='html')}\n"
