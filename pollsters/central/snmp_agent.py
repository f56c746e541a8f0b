"""Questions to one machine over SNMP: the only file that imports pysnmp."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from pysnmp.hlapi.v3arch import asyncio as snmp

from metering.errors import PollError
from pollsters.central.snmp_reading import Agent, Value
from pollsters.central.snmp_targets import Credentials, Target

T = TypeVar("T")

TRY_SECONDS = 2.0  # that one try of a question may take
AT_ONCE = 10  # figures in one question: more may not fit into an answer
ROWS_AT_ONCE = 25
MOST_ROWS = 10_000  # of one table

_AUTHENTICATIONS = {
    "md5": snmp.USM_AUTH_HMAC96_MD5,
    "sha": snmp.USM_AUTH_HMAC96_SHA,
    "sha224": snmp.USM_AUTH_HMAC128_SHA224,
    "sha256": snmp.USM_AUTH_HMAC192_SHA256,
    "sha384": snmp.USM_AUTH_HMAC256_SHA384,
    "sha512": snmp.USM_AUTH_HMAC384_SHA512,
}
_ENCRYPTIONS = {
    "des": snmp.USM_PRIV_CBC56_DES,
    "3des": snmp.USM_PRIV_CBC168_3DES,
    "aes": snmp.USM_PRIV_CFB128_AES,
    "aes192": snmp.USM_PRIV_CFB192_AES,
    "aes256": snmp.USM_PRIV_CFB256_AES,
}


class PySNMPAgent:
    """A machine that pysnmp asks, for as long as `engine` lives."""

    def __init__(self, engine: Any, target: Target, tries: int) -> None:
        self._engine, self._target, self._tries = engine, target, tries
        self._access = _access(target.credentials)
        self._transport: Any = None

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        found: dict[str, Value] = {}
        for begin in range(0, len(oids), AT_ONCE):
            asked = oids[begin : begin + AT_ONCE]
            bindings = await self._ask(snmp.get_cmd, (), asked)
            found |= dict(_known(bindings))
        return found

    async def walk(self, column: str) -> dict[str, Value]:
        found: dict[str, Value] = {}
        last = column
        while len(found) < MOST_ROWS:
            bindings = await self._ask(snmp.bulk_cmd, (0, ROWS_AT_ONCE), [last])
            rows = [(oid, value) for oid, value in _known(bindings) if oid.startswith(f"{column}.")]
            fresh = {oid.removeprefix(f"{column}."): value for oid, value in rows}
            if not rows or fresh.keys() <= found.keys():  # the end, or a machine that goes round in circles
                break
            found |= fresh
            last = rows[-1][0]
            if len(rows) < len(bindings):
                break
        return found

    async def _ask(self, command: Any, numbers: tuple[int, ...], oids: Iterable[str]) -> list[tuple[str, Any]]:
        if self._transport is None:
            kind = snmp.Udp6TransportTarget if ":" in self._target.host else snmp.UdpTransportTarget
            address = (self._target.host, self._target.port)
            try:
                self._transport = await kind.create(address, timeout=TRY_SECONDS, retries=self._tries - 1)
            except Exception as exc:  # pysnmp's own, of a name that is nobody's
                raise PollError(f"{self._target.url}: {exc}") from exc
        asked = [snmp.ObjectType(snmp.ObjectIdentity(oid)) for oid in oids]
        where = (self._engine, self._access, self._transport, snmp.ContextData())
        trouble, status, place, bindings = await command(*where, *numbers, *asked, lookupMib=False)
        if trouble:
            raise PollError(f"{self._target.url}: {trouble}")
        if status:
            raise PollError(f"{self._target.url}: {status.prettyPrint()} at {int(place)}")
        return [(str(name), value) for name, value in bindings]


class Agents:
    """Machines of many credentials, asked one after another from one process."""

    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        # One for each: an engine knows a user by name alone, and what it found out of a machine serves again.
        self._engines: dict[Credentials, Any] = {}

    def read(self, target: Target, seconds: float, questions: Callable[[Agent], Awaitable[T]], *, tries: int) -> T:
        """What ``questions(agent)``, a coroutine function, gives within so many seconds. Raises `PollError`."""

        async def ask() -> T:
            engine = self._engines.get(target.credentials)
            if engine is None:
                engine = self._engines[target.credentials] = snmp.SnmpEngine()
            return await asyncio.wait_for(questions(PySNMPAgent(engine, target, tries)), seconds)

        try:
            return self._loop.run(ask())
        except TimeoutError as exc:
            self._leave(target.credentials)
            raise PollError(f"{target.url}: not all was answered within {seconds:.1f} s") from exc

    def close(self) -> None:
        for credentials in list(self._engines):
            self._leave(credentials)
        self._loop.close()

    def _leave(self, credentials: Credentials) -> None:
        """Forget an engine that may still wait for an answer."""

        async def end(engine: Any) -> None:
            engine.close_dispatcher()

        self._loop.run(end(self._engines.pop(credentials)))


def _access(credentials: Credentials) -> Any:
    if credentials.password is None:
        return snmp.CommunityData(credentials.name)
    keys: dict[str, Any] = {"authProtocol": _AUTHENTICATIONS[credentials.authentication]}
    if credentials.encryption is not None:
        keys |= {"privKey": credentials.key, "privProtocol": _ENCRYPTIONS[credentials.encryption]}
    return snmp.UsmUserData(credentials.name, credentials.password, **keys)


def _known(bindings: Iterable[tuple[str, Any]]) -> Iterable[tuple[str, Value]]:
    """Figures and texts; "no such object" and the end of everything are neither."""
    for oid, value in bindings:
        if isinstance(value, snmp.OctetString):
            yield oid, bytes(value)
        elif isinstance(value, snmp.Integer | snmp.Integer32 | snmp.Unsigned32 | snmp.Counter64):
            yield oid, int(value)
