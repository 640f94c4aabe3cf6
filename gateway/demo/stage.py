"""Set the stage: start the stand-ins beside the gateway, and make the settings that point at them.

No branch of the gateway is for the demonstration: what differs are base addresses, rates and the clock's start.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import itertools
import json
import secrets
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

from channels.kit.contract import HttpAnswer
from gateway.demo.people import START
from gateway.domain.content import Content
from gateway.egress import Http
from gateway.render.approved import positional
from gateway.settings import AccountSettings, Settings, load

READY_S = 30.0
RELEASE = {
    "provider": "local stand-in",
    "contract_on": "2027-01-04",
    "notified_on": "2027-01-11",
    "region": "this machine",
    "approved_by": "demo",
    "review_by": "2028-01-04",
}


class StageFailed(Exception):
    """The stand-ins did not start; the message says what they said."""


@contextlib.asynccontextmanager
async def sandbox(folder: Path) -> AsyncIterator[Mapping[str, Any]]:
    """Run the stand-ins in a process of their own while the block runs; lends what they said when ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "channels.sandbox", "--dir", str(folder), "--http-port", "8025", "--exit-with-parent",
        "--starts-at", START.isoformat(),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None  # noqa: S101 - it was asked for
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_S)
        if not line:
            raise StageFailed("The local stand-ins did not start; their own words are above.")
        yield json.loads(line)
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            process.kill()
            await process.wait()


def content_sid(key: str, language: str) -> str:
    """Return the id under which the stand-in knows an approved text: stable, of the provider's form."""
    return "HX" + hashlib.md5(f"{key}.{language}".encode(), usedforsecurity=False).hexdigest()


def settings_for(ready: Mapping[str, Any], contents: Mapping[str, Content], listen: str, folder: Path) -> Settings:
    """Return the demonstration's profile; database and Redis may still be given by the environment.

    Accounts and key ring never are: the people are invented, but an account from outside would really write to
    whoever has their numbers.
    """
    approved = {
        f"{key}.{language}": content_sid(key, language)
        for key, content in contents.items()
        if "whatsapp" in content.channels
        for language in content.texts
    }
    swift = {"account_per_s": 100_000, "recipient_per_s": 100_000, "release": RELEASE}
    twilio = {
        "account_sid": ready["twilio_account_sid"],
        "auth_token": ready["twilio_auth_token"],
        "base_url": ready["twilio_base_url"],
    }
    accounts = {
        "mail": {"adapter": "email_smtp", "host": ready["smtp_host"], "port": ready["smtp_port"],
                 "ca_file": ready["ca_file"], "username": ready["smtp_user"], "password": ready["smtp_password"],
                 "sender": "hinweis@mtk.example", "sender_name": "Main-Taunus-Kreis", **swift},
        "sms": {"adapter": "sms_twilio", "sender": ready["sms_number"], **twilio, **swift},
        "whatsapp": {"adapter": "whatsapp_twilio", "sender": ready["whatsapp_number"], "approved": approved,
                     "people_per_day": 0, **twilio, **swift},
        "telegram": {"adapter": "telegram_bot", "token": ready["telegram_token"],
                     "webhook_secret": secrets.token_urlsafe(24), "base_url": ready["telegram_base_url"], **swift},
    }  # fmt: skip
    settings = load(
        _env_file=None,
        profile="demo",
        data_dir=folder,
        keyring_file=folder / "keyring.json",
        listen=listen,
        public_url=f"http://{listen}",
        clock_start=START,
        client_per_s=100_000,
        adapters=None,
        accounts=accounts,
        sweep_s=0.5,
        log_level="WARNING",
    )
    ours = {name: AccountSettings(**block) for name, block in accounts.items()}  # the library merged the outside's in
    return settings.model_copy(update={"accounts": ours})


@contextlib.contextmanager
def clean_folder(usual: Path) -> Iterator[Path]:
    """Lend an empty folder: the usual one, or its neighbour while another demonstration runs there."""
    usual.parent.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        folder = usual if number == 1 else usual.with_name(f"{usual.name}-{number}")
        with folder.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            yield folder
            return


async def introduce(http: Http, base: str, contents: Mapping[str, Content], public_url: str) -> None:
    """Tell the stand-ins which texts are approved and where to call us."""
    known = []
    for key, content in contents.items():
        if "whatsapp" in content.channels:
            for language, text in content.texts.items():
                body, _ = positional(content, language, "whatsapp")
                buttons = list(text.buttons or content.buttons)
                sid = content_sid(key, language)
                known.append({"sid": sid, "language": language, "body": body, "buttons": buttons})
    await post(http, f"{base}/control/contents", known)
    urls = {name: f"{public_url}/webhooks/{name}" for name in ("sms", "whatsapp")}
    await post(http, f"{base}/control/inbound_url", urls)


async def post(http: Http, url: str, body: object, *, key: str = "", **headers: str) -> HttpAnswer:
    """POST JSON as a backend service would. Raises StageFailed on anything but 2xx."""
    sent = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    if key:
        sent["authorization"] = f"Bearer {key}"
    answer = await http.request("POST", url, headers=sent, body=json.dumps(body).encode(), total_s=60)
    if answer.status >= 300:  # noqa: PLR2004 - anything but success
        raise StageFailed(f"{url.rpartition('/')[2]} answered {answer.status}: {answer.body[:500].decode()}")
    return answer
