"""Templates over HTTP: what is approved, and the schema of its variables."""

from __future__ import annotations

import httpx

from gateway.http.api import answers
from tests.http.conftest import APPROVED, LINK, notification, person, problem


async def test_approved_templates_are_listed(client: httpx.AsyncClient):
    """Every approved template is there with its class, purpose, channels and languages, and no other."""
    told = answers.Templates.model_validate_json((await client.get("/v1/templates")).content)
    assert [one.key for one in told.templates] == sorted(APPROVED)
    twin = next(one for one in told.templates if one.key == "termin_hinweis")
    assert (twin.klass, twin.purpose, twin.version) == ("K1", "dienst", 1)
    assert {"de", "en"} <= set(twin.languages)


async def test_a_template_tells_its_variables(client: httpx.AsyncClient):
    """The JSON schema names exactly the variables that a notification is accepted with."""
    told = answers.TemplateInFull.model_validate_json((await client.get("/v1/templates/termin_hinweis")).content)
    assert told.variables["additionalProperties"] is False
    assert set(told.variables["properties"]) == set(LINK)
    await client.put("/v1/recipients/P-1", json=person())
    answer = await client.post("/v1/notifications", json=notification(), headers={"Idempotency-Key": "k"})
    assert answer.status_code == 202


async def test_what_is_not_approved_is_not_there(client: httpx.AsyncClient):
    """An unknown key is 404, a key that cannot be one 422."""
    problem(await client.get("/v1/templates/umfrage_einladung"), 404, "not_found")
    problem(await client.get("/v1/templates/Umfrage"), 422, "invalid")
