"""The invented people: the same at every run, and nothing of theirs is an example out of the templates."""

from __future__ import annotations

from gateway.demo.people import invent, tell
from tests.support.runtime import catalogue


def test_every_run_tells_the_same_people_the_same():
    """The seed is fixed, so that two runs can be compared."""
    first, second = (tell(invent(50, run="p"), catalogue()) for _ in range(2))
    assert first == second


def test_everybody_has_a_link_of_their_own():
    """A link found in a dump would be a person's: the templates' own example is nobody's."""
    told = tell(invent(200, run="p"), catalogue())
    links = [one["variables"]["link"] for one in told if "link" in one["variables"]]
    examples = {one.example for content in catalogue().values() for one in content.variables.values()}
    assert len(links) > 100
    assert len(set(links)) == len(links)
    assert not examples & set(links)
