"""Writes NAME.expected beside each NAME.xml: what Python's xml.etree reads in it.

One line for each element, indented by its depth: its name, its attributes in order, and the text
directly in it, all as JSON in ASCII.
"""

import glob
import json
import os
import xml.etree.ElementTree as tree


def lines(element, depth=0):
    text = (element.text or "") + "".join(child.tail or "" for child in element)
    parts = [element.tag, [[name, value] for name, value in element.attrib.items()], text]
    yield " " * depth + json.dumps(parts, separators=(",", ":"))
    for child in element:
        yield from lines(child, depth + 1)


here = os.path.dirname(os.path.abspath(__file__))
for path in glob.glob(os.path.join(here, "*.xml")):
    with open(path[: -len("xml")] + "expected", "w", encoding="ascii") as file:
        file.writelines(line + "\n" for line in lines(tree.parse(path).getroot()))
