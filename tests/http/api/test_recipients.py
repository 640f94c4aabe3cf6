"""Recipients and consents over HTTP: one person for all clients, addresses only hinted at, a growing ledger."""

from __future__ import annotations

import httpx

from gateway.http.api import answers
from gateway.usecases.runtime import Runtime
from tests.http.conftest import CONSENT, MakeClient, counts, notification, person, problem
from tests.support.clock import START

PERSON = "/v1/recipients/P-1"
SMS = f"{PERSON}/consents/sms/dienst"


async def skipped(client: httpx.AsyncClient) -> dict[str, str]:
    """Return why channels would be left out for P-1 now."""
    told = (await client.post("/v1/notifications:preview", json=notification())).json()
    return {one["channel"]: one["reason"] for one in told["skipped"]}


async def test_a_recipient_is_stated_and_looked_up(client: httpx.AsyncClient):
    """What was stated comes back, except the addresses: of those only a hint."""
    put = await client.put(PERSON, json=person() | {"language": "tr"})
    seen = answers.Recipient.model_validate_json(put.content)
    assert put.status_code == 200
    assert (await client.get(PERSON)).json() == put.json()
    assert (seen.id, seen.language, seen.birth_year) == ("P-1", "tr", 2007)
    assert seen.preferred_channels == ["sms", "email"]
    assert {one.channel: one.verified_how for one in seen.contact_points} == {"sms": "desk", "email": "desk"}
    assert "+4915550100001" not in put.text
    assert "zaunkoenig" not in put.text


async def test_what_is_left_out_stays(client: httpx.AsyncClient):
    """A second PUT changes what it names and nothing else."""
    await client.put(PERSON, json=person())
    seen = (await client.put(PERSON, json={"language": "en"})).json()
    assert (seen["language"], seen["birth_year"], len(seen["contact_points"])) == ("en", 2007, 2)


async def test_a_person_is_the_same_for_every_client(client: httpx.AsyncClient, make_client: MakeClient, rt: Runtime):
    """Recipients belong to the authority: another client sees and changes the same person."""
    await client.put(PERSON, json=person())
    other = await make_client("fachverfahren")
    assert (await other.get(PERSON)).json() == (await client.get(PERSON)).json()
    await other.put(PERSON, json={"language": "uk"})
    assert (await client.get(PERSON)).json()["language"] == "uk"
    assert (await counts(rt))["recipients"] == 1


async def test_an_unverified_contact_point_gets_nothing(client: httpx.AsyncClient):
    """Without a statement of when and how, an address counts as unverified."""
    told = person()
    for point in told["contact_points"]:
        del point["verified_at"], point["verified_how"]
    await client.put(PERSON, json=told)
    reasons = await skipped(client)
    assert (reasons["sms"], reasons["email"]) == ("contact_point_unverified", "contact_point_unverified")


async def test_a_consent_is_a_new_row_of_the_ledger(client: httpx.AsyncClient, rt: Runtime):
    """No consent, no message; a consent opens exactly its channel; a withdrawal closes it; nothing is ever changed."""
    await client.put(PERSON, json=person(consent=False))
    assert (await skipped(client))["sms"] == "no_consent"
    given = answers.LedgerEntry.model_validate_json((await client.put(SMS, json=CONSENT)).content)
    assert (given.given, given.channel, given.purpose) == (True, "sms", "dienst")
    reasons = await skipped(client)
    assert "sms" not in reasons
    assert reasons["email"] == "no_consent"
    gone = answers.LedgerEntry.model_validate_json((await client.delete(SMS)).content)
    assert (gone.given, gone.at, gone.source) == (False, START, "api")
    assert gone.ledger_row > given.ledger_row
    assert (await skipped(client))["sms"] == "consent_withdrawn"
    assert (await counts(rt))["consents"] == 2
    assert [one["given"] for one in (await client.get(PERSON)).json()["consents"]] == [False]


async def test_a_withdrawal_may_tell_its_circumstances(client: httpx.AsyncClient):
    """Who, where and when can be given in the body of the DELETE."""
    await client.put(PERSON, json=person())
    told = {"source": "desk", "actor": "desk-3", "withdrawn_at": "2026-11-20T09:00:00+01:00"}
    gone = (await client.request("DELETE", SMS, json=told)).json()
    assert (gone["source"], gone["at"]) == ("desk", "2026-11-20T08:00:00Z")
    problem(await client.request("DELETE", SMS, json={"reason": "Umzug"}), 422, "invalid")


async def test_the_ledger_is_for_known_people_and_purposes(client: httpx.AsyncClient, rt: Runtime):
    """An unknown person is 404, an unknown purpose or an unproven consent 422; the ledger stays empty."""
    problem(await client.put(SMS, json=CONSENT), 404, "not_found")
    problem(await client.delete(SMS), 404, "not_found")
    problem(await client.get(PERSON), 404, "not_found")
    await client.put(PERSON, json=person(consent=False))
    problem(await client.put(f"{PERSON}/consents/sms/werbung", json=CONSENT), 422, "invalid")
    unproven = {name: value for name, value in CONSENT.items() if name != "text_hash"}
    told = problem(await client.put(SMS, json=unproven), 422, "invalid")
    assert told["errors"][0]["pointer"] == "/text_hash"
    assert (await counts(rt))["consents"] == 0


async def test_stating_a_consent_with_a_person_needs_its_scope(make_client: MakeClient):
    """recipients:write alone does not let a client say that somebody agreed."""
    clerk = await make_client("clerk", scopes=["recipients:write"])
    problem(await clerk.put(PERSON, json=person()), 403, "missing_scope")
    assert (await clerk.put(PERSON, json=person(consent=False))).status_code == 200


async def test_an_address_is_no_id(client: httpx.AsyncClient):
    """Addresses do not belong into URLs; the refusal does not repeat them."""
    for wrong in ("zaunkoenig@example.org", "+4915550100001", "a b", "%00"):
        answer = await client.put(f"/v1/recipients/{wrong}", json={})
        told = problem(answer, 422, "invalid")
        assert told["errors"][0]["parameter"] == "id"
        assert wrong not in answer.text
