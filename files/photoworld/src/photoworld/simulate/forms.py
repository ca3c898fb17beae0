"""Finds the links and the forms of a page. Understands HTML only as far as the forum's own pages need it."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

Attributes = list[tuple[str, str | None]]


@dataclass(slots=True)
class Form:
    """A form that can be sent."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)
    """Every named field with the value that it already has, the hidden ones too."""


@dataclass(slots=True)
class Contents:
    """What a visitor can do on a page."""

    links: list[str] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)

    def form(self, ending: str) -> Form | None:
        """Return the first form whose action ends like this."""
        return next((form for form in self.forms if form.action.endswith(ending)), None)

    def link(self, ending: str) -> str | None:
        """Return the first link that ends like this."""
        return next((link for link in self.links if link.endswith(ending)), None)


def read(html: str) -> Contents:
    """Return the links and forms of a page."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    return parser.contents


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.contents = Contents()
        self._form: Form | None = None

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        found = {name: value or "" for name, value in attrs}
        if tag == "a" and "href" in found:
            self.contents.links.append(found["href"])
        elif tag == "form":
            self._form = Form(found.get("action", ""))
            self.contents.forms.append(self._form)
        elif tag in ("input", "textarea") and self._form and found.get("name"):
            self._form.fields[found["name"]] = found.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
