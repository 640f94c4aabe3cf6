"""What a reader's program sees of a piece of HTML."""

from __future__ import annotations

from html.parser import HTMLParser


class Seen(HTMLParser):
    """The tags with their attributes, and the text outside head and hidden parts."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.title = ""
        self._inside: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append((tag, dict(attrs)))
        if tag in {"title", "style"}:
            self._inside.append(tag)
        if tag in {"p", "br", "li", "td", "div"}:
            self.text += " "

    def handle_endtag(self, tag: str) -> None:
        """Leave a tag."""
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        """Note text."""
        if not self._inside:
            self.text += data
        elif self._inside[-1] == "title":
            self.title += data

    @property
    def names(self) -> list[str]:
        """Return the names of the tags in order."""
        return [name for name, _ in self.tags]

    def all(self, attribute: str) -> list[str]:
        """Return every value of an attribute, in order."""
        return [
            value for _, attributes in self.tags for name, value in attributes.items() if name == attribute and value
        ]
