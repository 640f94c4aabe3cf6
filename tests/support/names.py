"""A name server on loopback that knows the records a test gives it, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

from dns import flags, message, rcode, rdatatype, rrset

Records = Mapping[tuple[str, str], list[str]]  # (name, type) -> the records as a zone file has them

GOOD: Records = {
    ("example.org", "TXT"): ['"v=spf1 include:relay.example -all"', '"something else"'],
    ("example.org", "MX"): ["20 mx2.example.org.", "10 mx1.example.org."],
    ("_dmarc.example.org", "TXT"): ['"v=DMARC1; p=quarantine; " "rua=mailto:dmarc@example.org"'],
    ("s1._domainkey.example.org", "TXT"): ['"v=DKIM1; k=rsa; " "p=MIIBIjANBgkq"'],
}


class _Answering(asyncio.DatagramProtocol):
    def __init__(self, records: Records) -> None:
        self._records = records
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question."""
        asked = message.from_wire(data)
        answer = message.make_response(asked)
        answer.flags |= flags.RA
        question = asked.question[0]
        name = question.name.to_text(omit_final_dot=True)
        found = self._records.get((name, rdatatype.to_text(question.rdtype)))
        if found is not None:
            answer.answer.append(rrset.from_text(question.name, 60, "IN", question.rdtype, *found))
        elif not any(known == name for known, _ in self._records):
            answer.set_rcode(rcode.NXDOMAIN)
        assert self._transport is not None
        self._transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server(records: Records = GOOD) -> AsyncIterator[str]:
    """Run it while the block runs and lend its ``host:port``."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Answering(records), local_addr=("127.0.0.1", 0))
    try:
        host, port = transport.get_extra_info("sockname")
        yield f"{host}:{port}"
    finally:
        transport.close()
