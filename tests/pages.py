"""Pages of reports, read as a browser would, for tests of several folders."""

import re
from html.parser import HTMLParser

VOID = {"meta", "img", "source", "br", "hr", "wbr"}


class Page(HTMLParser):
    """Checks that tags nest, and collects text, tags and attributes."""

    def __init__(self, text):
        super().__init__()
        self.source = text
        self.open, self.text, self.attributes, self.tags = [], "", [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        # Spaces that lines do not break at are spaces to a reader.
        self.text += data.replace("\xa0", " ")

    def assert_needs_nothing_else(self):
        """No script, no network."""
        assert not {"script", "link"} & set(self.tags)
        for name, value in self.attributes:
            if name in ("src", "srcset", "href"):
                assert value.startswith(("data:image/png;base64,", "#"))
        assert "@import" not in self.source
        assert not re.search(r"url\(", self.source)
