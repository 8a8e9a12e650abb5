"""Whether an evidence pack is unchanged, and if not, what is changed in it.

This file needs nothing but Python 3.9, no database and no other file: copy it and run `python verify_evidence.py
pack.json`, or `manage.py verify_evidence pack.json` where the service is installed. With `--public-key`, and the
package `cryptography` at hand, it verifies the signature, too. Exit code 0: unchanged; 1: changed; 2: no such file.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

try:
    from django.core.management.base import BaseCommand
except ImportError:
    BaseCommand = object  # type: ignore[assignment,misc]
try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    Ed25519PublicKey = None  # type: ignore[assignment,misc]

FORMAT = "releasemgmt.evidence.v1"
PACK_PREFIX = b"releasemgmt.evidence.v1\n"
EVENT_PREFIX = b"releasemgmt.event.v1\n"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - Python 3.9 has no datetime.UTC
#: What stands around the rows.
ENVELOPE = ("format", "made_at", "manifest", "signature", "hash")
#: An event's members as they are hashed, by their names in the pack.
HASHED = {"prev_hash": "prev"} | {
    name: name
    for name in (
        "stream",
        "seq",
        "at",
        "actor",
        "on_behalf_of",
        "team",
        "kind",
        "source",
        "target",
        "data",
        "request_id",
    )
}
#: Streams that are in the pack from their first event to their last.
WHOLE_STREAMS = ("release:", "changerequest:", "deploymentplan:", "incident:", "releasemodel:")


class Damaged(ValueError):
    """The file is no pack any more; says where."""


def canonical(value: object) -> bytes:
    """JSON in one spelling: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON."""
    return f"sha256:{hashlib.sha256(canonical(value)).hexdigest()}"


def manifest(pack: dict[str, Any]) -> dict[str, str]:
    """The digest of every row of a pack, by section and id."""
    return {name: digest(row) for name, row in _rows(pack)}


def read(text: bytes) -> dict[str, Any]:
    """The pack in a file; raises Damaged, saying where, if it is none."""
    try:
        pack = json.loads(text.decode(), object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        near = error.doc[max(0, error.pos - 30) : error.pos + 30]
        raise Damaged(f"the file, line {error.lineno} column {error.colno}: {error.msg}, near {near!r}") from None
    except UnicodeDecodeError as error:
        raise Damaged(f"the file, byte {error.start}: it is no UTF-8") from None
    except RecursionError:
        raise Damaged("the file: it is nested too deeply") from None
    if not isinstance(pack, dict):
        raise Damaged("the file: it holds no pack")
    return pack


def faults(pack: dict[str, Any]) -> Iterator[str]:
    """Every place at which the pack is not as it was made."""
    if pack.get("format") != FORMAT:
        yield f"format: it is {pack.get('format')!r}, not {FORMAT}"
    for name in ENVELOPE:
        if name not in pack:
            yield f"{name}: it is missing"
    for check in (_against_manifest, _documents, _contents, _events, _chains, _votes, _whole):
        try:
            yield from check(pack)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            yield f"{check.__name__.strip('_').replace('_', ' ')}: can't be read ({error!r})"


def verify(text: bytes, *, public_key: str = "") -> tuple[list[str], str]:
    """What is changed, empty where nothing is; and what is to be said of the signature."""
    try:
        pack = read(text)
    except Damaged as damaged:
        return [str(damaged)], ""
    found = list(dict.fromkeys(faults(pack)))
    said, is_wrong = _signature(pack, public_key)
    return ([*found, said] if is_wrong else found), said


def _against_manifest(pack: dict[str, Any]) -> Iterator[str]:
    written, there = pack["manifest"], manifest(pack)
    for name in sorted({*written, *there}):
        if name not in there:
            yield f"{name}: it is missing"
        elif name not in written:
            yield f"{name}: it was added"
        elif written[name] != there[name]:
            yield f"{_called(name)}: its content does not match its digest in the manifest"


def _documents(pack: dict[str, Any]) -> Iterator[str]:
    for document in pack["documents"]:
        if document["sha256"] != f"sha256:{hashlib.sha256(document['body'].encode()).hexdigest()}":
            yield f"document {document['id']}: its text does not match its sha256"


def _contents(pack: dict[str, Any]) -> Iterator[str]:
    """What was signed, against the digests that were signed."""
    for section, name in (("rounds", "round"), ("changes", "change")):
        for row in pack[section]:
            if row["digest"] != digest({key: value for key, value in row["content"].items() if value}):
                yield f"{name} {row['id']}: its content does not match its digest"
    if pack["content"]["digest"] != digest(pack["content"]["content"]):
        yield "content: it does not match its digest"


def _events(pack: dict[str, Any]) -> Iterator[str]:
    for event in pack["events"]:
        try:
            right = event["hash"] == event_hash(event) and event["id"] == f"{event['stream']}/{event['seq']}"
        except (KeyError, TypeError, ValueError):
            right = False
        if not right:
            yield f"event {event.get('id')}: its content does not match its hash"


def event_hash(event: dict[str, Any]) -> str:
    """The hash of an event, made as the service makes it."""
    body = {hashed: event[name] for name, hashed in HASHED.items()}
    body["at"] = (datetime.fromisoformat(event["at"]) - EPOCH) // timedelta(microseconds=1)
    return hashlib.sha256(EVENT_PREFIX + canonical(body)).hexdigest()


def _chains(pack: dict[str, Any]) -> Iterator[str]:
    """Streams that are in the pack as a whole: each event follows the one before it."""
    before: dict[str, tuple[int, str]] = {}
    whole = [event for event in pack["events"] if event["stream"].startswith(WHOLE_STREAMS)]
    for event in sorted(whole, key=lambda event: (event["stream"], event["seq"])):
        seq, last = before.get(event["stream"], (0, ""))
        if event["seq"] != seq + 1:
            yield f"event {event['stream']}/{seq + 1}: it is missing"
        elif event["prev_hash"] != last:
            yield f"event {event['id']}: it does not follow the event before it"
        before[event["stream"]] = (event["seq"], event["hash"])


def _votes(pack: dict[str, Any]) -> Iterator[str]:
    """Each vote is told by an event, in the same words."""
    told = {}
    for event in pack["events"]:
        if "decision" in event["data"] and "vote" in event["data"]:
            told[event["data"]["vote"]] = event
    people = {person["username"]: person["id"] for person in pack["people"]}
    for vote in pack["votes"]:
        event = told.get(vote["id"])
        if event is None:
            yield f"vote {vote['id']}: no event tells of it"
            continue
        says = {name: event["data"].get(name) for name in ("round", "decision", "comment", "digest", "channel")}
        if {name: vote[name] for name in says} != says or people.get(vote["voter"]) != event["actor"]:
            yield f"vote {vote['id']}: event {event['id']} tells it otherwise"


def _whole(pack: dict[str, Any]) -> Iterator[str]:
    if pack["hash"] != digest({name: value for name, value in pack.items() if name != "hash"}):
        yield "the pack: its content does not match its hash"


def _signature(pack: dict[str, Any], public_key: str) -> tuple[str, bool]:
    """What is to be said of it, and whether it is wrong."""
    signature = pack.get("signature")
    if not isinstance(signature, dict):
        return ("signature: it is missing", True) if public_key else ("It is not signed.", False)
    if not public_key:
        return "It is signed; the signature is not verified (give --public-key).", False
    if Ed25519PublicKey is None:
        return "It is signed; the signature is not verified (install the package cryptography).", False
    body = {name: value for name, value in pack.items() if name not in ("signature", "hash")}
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signature["value"], validate=True), PACK_PREFIX + canonical(body))
    except (InvalidSignature, ValueError, KeyError, TypeError):
        return "signature: it is not that of this key over this pack", True
    return "Its signature is that of this key.", False


def _rows(pack: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, rows in pack.items():
        if section in ENVELOPE:
            continue
        if not isinstance(rows, list):
            yield section, rows
            continue
        for place, row in enumerate(rows):
            name = row.get("id", f"#{place}") if isinstance(row, dict) else f"#{place}"
            yield f"{section}/{name}", row


def _called(name: str) -> str:
    """A row in words: `votes/12` is vote 12."""
    section, _, row = name.partition("/")
    return f"{section[:-1] if section.endswith('s') else section} {row}" if row else name


def _no_key_twice(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise Damaged(f"the file: an object has the member {name!r} twice")
        found[name] = value
    return found


def _no_constant(name: str) -> None:
    raise Damaged(f"the file: {name} is no JSON")


def _arguments(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("file", type=Path, help="the pack, as GET /api/v1/releases/{number}/evidence/ answered it")
    parser.add_argument("--public-key", default="", help="whose signature it bears, as base64")
    return parser


def run(file: Path, public_key: str) -> int:
    """Say what is found; answers the exit code."""
    try:
        text = file.read_bytes()
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    found, said = verify(text, public_key=public_key)
    for fault in found:
        sys.stderr.write(f"{fault}\n")
    if found:
        sys.stderr.write(f"{file} is CHANGED in {len(found)} places.\n")
        return 1
    pack = read(text)
    sys.stdout.write(f"{file} is unchanged since {pack['made_at']}: {len(pack['manifest'])} rows, {pack['hash']}.\n")
    sys.stdout.write(f"{said}\n")
    return 0


class Command(BaseCommand):
    """The same as a command of the service; it asks no database."""

    help = "Say whether an evidence pack is unchanged, and if not, what is changed in it."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: Any) -> None:
        _arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if code := run(options["file"], options["public_key"]):
            sys.exit(code)


if __name__ == "__main__":
    given = _arguments(argparse.ArgumentParser(description=__doc__)).parse_args()
    sys.exit(run(given.file, given.public_key))
