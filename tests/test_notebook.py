"""What notebooks show: whole tables, escaped, without anything from elsewhere."""

import html.parser

import jax
import jax.numpy as jnp
import pytest

import initjax as ij

RULES = ij.Rules(
    [("<b>/**", ij.Spec("he_normal", fan=4)), ("**", "zeros")], strict=False
)
TREE = {"<b>": {"k": jnp.ones((3, 2))}, "a&b": jnp.ones(3)}


@ij.register
class Mine(ij.Initializer):
    """A law of <one's own>.

    More is not shown.
    """


SHOWN = {
    "law": (lambda: ij.HeNormal(seed="<a>"), ["HeNormal(seed='<a>')", "Cut normal"]),
    "law of one's own": (Mine, ["Mine()", "A law of <one's own>."]),
    "rules": (lambda: RULES, ["'<b>/**'", "Spec(HeNormal(), fan=", "strict=False"]),
    "plan": (
        lambda: ij.plan(RULES, TREE),
        ["<b>/k", "a&b", "HeNormal()", "2 leaves, "],
    ),
    "setup plan": (
        lambda: ij.jit_init(lambda k: ij.HeNormal()(k, (4, 4))).lower(
            jax.random.key(0)
        ),
        ["float32[4,4]", "1 program, 1 array, "],
    ),
}


class Reader(html.parser.HTMLParser):
    """The text of HTML, and whether every tag is closed in its turn."""

    def __init__(self, source):
        super().__init__()
        self.open, self.text = [], []
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        assert dict(attributes).keys() <= {"style"}  # nothing that is fetched or run
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.mark.parametrize("name", SHOWN)
def test_a_notebook_shows_it(name, registry, as_frameworks_expect):
    make, parts = SHOWN[name]
    thing = make()
    reader = Reader(thing._repr_html_())
    assert not reader.open
    text = "\n".join(reader.text)
    assert [part for part in parts if part not in text] == []
    cells = {cell for line in str(thing).splitlines() for cell in line.split()}
    if "plan" in name:  # all that is printed
        assert [cell for cell in cells if cell not in text] == []


def test_a_tag_left_open_or_a_link_would_be_seen():
    assert Reader("<b>").open
    with pytest.raises(AssertionError):
        Reader('<img src="http://x">')
