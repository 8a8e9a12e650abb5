#!/usr/bin/env python3
"""relctl tells the release management service what a pipeline did, and asks it whether a deployment may begin.

It is one file for Python 3.8 or newer and needs no other: copy it to where the pipeline runs. The service serves it at
/static/portal/relctl.py. `relctl COMMAND --help` tells of each command.

  RELCTL_URL     where the service is, for instance https://releases.example.org (or --url)
  RELCTL_TOKEN   the token of a service account, a secret of the pipeline; it is taken from nowhere else.
                 It needs the scope write, and for start, end and report deploy.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Sequence
from urllib.parse import quote, urlencode

EPILOG = """exit status:
  0  done; at a gate: go
  1  no: the service refused, or the gate is closed; the reasons are printed
  2  the call is wrong: an option, no token, a file, the clone
  3  the gate was still closed when --wait was over; the reasons are printed
  4  the service can't be reached, or is not well

A release's number and a deployment's id go to stdout, all else to stderr. Each call can be made again: what is there
stays as it is. Where a connection breaks, the same call is tried again by its Idempotency-Key: nothing is done twice.

from the commit to production:
  relctl commits shop
  relctl build shop api --digest "$DIGEST" --uri "$IMAGE"
  REL=$(relctl release shop 4.2.0 --digest "$DIGEST")
  relctl move "$REL" build
  relctl tests "$REL" integration test junit.xml
  relctl move "$REL" pass_integration
  ID=$(relctl start "$REL" production --wait 3600 --external-id "$RUN") || exit
  if ./deploy.sh; then relctl end "$ID" succeed; else relctl end "$ID" fail --reason "deploy.sh"; fi
"""
GO, NO, WRONG, TOO_LATE, UNREACHABLE = range(5)
#: Commits in one call: it takes up to 1 MiB. Of each: hash, parents, dates, the author's address, subject.
AT_ONCE = 500
COMMIT = {"sha": "%H", "parents": "%P", "authored_at": "%aI", "committed_at": "%cI", "author": "%ae", "subject": "%s"}
TIMEOUT, LONGEST_PAUSE = 60.0, 15.0
Body = Dict[str, Any]


class Wrong(Exception):
    """The call itself is wrong, whatever the service says."""


class Unreachable(Exception):
    """The service gave no answer that counts; `after` is for how many seconds it asks to be left alone."""

    def __init__(self, reason: str, after: str = "") -> None:
        super().__init__(reason)
        self.after = float(after) if after.isdigit() else 0.0


class Refused(Exception):
    """The service said no; `problem` is its problem document."""

    def __init__(self, error: urllib.error.HTTPError) -> None:
        try:
            found = json.loads(error.read().decode())
        except (OSError, ValueError, http.client.HTTPException):
            found = None
        self.problem: Body = found if isinstance(found, dict) else {}
        self.code = self.problem.get("code")
        super().__init__(str(self.problem.get("detail") or f"HTTP status {error.code}"))


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token goes to the address that was named, and to no other."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> None:
        raise Wrong(f"{req.full_url} leads on to {newurl}: set RELCTL_URL to where the service is.")


class Service:
    """The service at an address, for the holder of a token."""

    def __init__(self, url: str, token: str, *, retry_for: float) -> None:
        if not re.match(r"https?://[^/]", url):
            raise Wrong("Set RELCTL_URL to where the service is; it begins with https://")
        if not re.match(r"[\x21-\x7e]+\Z", token):
            raise Wrong("Set RELCTL_TOKEN to the token of a service account.")
        self.base, self.retry_for = url.rstrip("/") + "/api/v1/", retry_for
        self.headers = {"Authorization": "Bearer " + token, "Accept": "application/json", "User-Agent": "relctl"}
        self.opener = urllib.request.build_opener(_NoRedirect)

    def get(self, path: str, **query: str) -> Any:
        return self._call("GET", path + "?" + urlencode(query), None, {})

    def post(self, path: str, body: Body) -> Any:
        return self._call("POST", path, json.dumps(body).encode(), {})

    def put(self, path: str, body: Body) -> Any:
        return self._call("PUT", path, json.dumps(body).encode(), {"If-Match": "*"})

    def upload(self, path: str, fields: Sequence[Any], report: bytes) -> Any:
        """POST a form with a file `report`; `fields` are pairs of a name and a text."""
        edge = uuid.uuid4().hex
        part = '--%s\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n'
        texts = "".join(part % (edge, name, "") + f"{text}\r\n" for name, text in fields)
        texts += part % (edge, "report", '; filename="report.xml"\r\nContent-Type: application/xml')
        body = texts.encode() + report + f"\r\n--{edge}--\r\n".encode()
        return self._call("POST", path, body, {"Content-Type": "multipart/form-data; boundary=" + edge})

    def _call(self, method: str, path: str, body: bytes | None, headers: Body) -> Any:
        """One call, made again while there is no answer: to the service it is the same one, by its key."""
        more = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4())} if body else {}
        request = urllib.request.Request(self.base + path, body, {**self.headers, **more, **headers}, method=method)
        end, pause = time.monotonic() + self.retry_for, 1.0
        while True:
            try:
                return self._once(request)
            except Unreachable as error:
                wait = max(pause, error.after)
                if time.monotonic() + wait > end:
                    raise
                say(f"{error} Trying again in {wait:.0f} s.")
                time.sleep(wait)
                pause = min(2 * pause, LONGEST_PAUSE)

    def _once(self, request: urllib.request.Request) -> Any:
        try:
            with self.opener.open(request, timeout=TIMEOUT) as answer:
                return json.loads(answer.read().decode())
        except urllib.error.HTTPError as error:
            if error.code == 429 or error.code >= 500:
                raise Unreachable(f"{self.base} answers {error.code}.", error.headers.get("Retry-After", "")) from error
            raise Refused(error) from error
        except ValueError as error:
            raise Unreachable(f"{self.base} does not answer in JSON: is it the service?") from error
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"{self.base} can't be reached: {getattr(error, 'reason', error)}.") from error


def say(text: str) -> None:
    """Tell whoever reads the pipeline's log."""
    print(text, file=sys.stderr, flush=True)


def git(folder: str, *arguments: str) -> str:
    """What git says in that clone."""
    try:
        ran = subprocess.run(["git", "-C", folder, *arguments], capture_output=True)
    except OSError as error:
        raise Wrong(f"git can't be run: {error.strerror}.") from error
    if ran.returncode:
        raise Wrong(f"git {arguments[0]}: {ran.stderr.decode(errors='replace').strip()}")
    return ran.stdout.decode(errors="replace")


def now() -> str:
    """This instant, as the service takes it."""
    return datetime.now(timezone.utc).isoformat()


# --- the commands; those that ask a gate answer the exit status ---


def commits(service: Service, args: argparse.Namespace) -> None:
    """Send the commits of the clone; those that were sent before stay as they are."""
    if git(args.repo, "rev-parse", "--is-shallow-repository").strip() == "true":
        raise Wrong("This clone is shallow, its oldest commits lack their parents: fetch the whole history.")
    log = git(args.repo, "log", "-z", "--format=" + "%x1f".join(COMMIT.values()), args.range, "--")
    rows: list[Body] = [dict(zip(COMMIT, record.split("\x1f", 5))) for record in log.split("\0") if record]
    for row in rows:
        row["parents"], row["subject"] = row["parents"].split(), row["subject"][:500]
        row["is_bot"] = "[bot]" in row["author"]
    parts = [rows[begin : begin + AT_ONCE] for begin in range(0, len(rows), AT_ONCE)]
    new = sum(service.post("commits/bulk/", {"product": args.product, "commits": each})["new"] for each in parts)
    say(f"{len(rows)} commits, {new} of them new.")


def build(service: Service, args: argparse.Namespace) -> None:
    """Register what was built, by its digest, or that a build failed."""
    if bool(args.digest) == args.failed:
        raise Wrong("Name the digest of what was built with --digest, or say --failed.")
    commit = git(args.repo, "rev-parse", "--verify", args.commit + "^{commit}").strip()
    body = {"commit": commit, "artifact_uri": args.uri, "built_at": args.built_at or now()}
    body["status"] = "failed" if args.failed else "succeeded"
    try:
        service.post("builds/", {**body, **said(args, "product", "component", "digest", "ci_url")})
    except Refused as error:
        known = error.problem.get("digest"), error.problem.get("artifact_uri")
        if error.code != "build_differs" or known != (args.digest, args.uri):
            raise
        say(f"{error} It stays as it is.")


def release(service: Service, args: argparse.Namespace) -> None:
    """Make a release, or find the one of that version as it is, and print its number; with digests set its builds."""
    asked = ("product", "version", "title", "type", "model", "components", "requested_by", "database_change")
    try:
        number = service.post("releases/", said(args, *asked))["number"]
    except Refused as error:
        if error.code != "exists":
            raise
        number = error.problem["number"]
        say(str(error))
    if args.builds:
        service.put(f"releases/{number}/builds/", {"builds": args.builds})
    print(number)


def move(service: Service, args: argparse.Namespace) -> None:
    """Move a release on, for instance by build or pass_integration."""
    path = f"releases/{quote(args.release, '')}/transitions/{quote(args.transition, '')}/"
    say(f"It is {service.post(path, said(args, 'reason'))['state']}.")


def tests(service: Service, args: argparse.Namespace) -> None:
    """Report a test run by its JUnit XML file, of the release's builds or of those that are named."""
    try:
        report, written = Path(args.report).read_bytes(), Path(args.report).stat().st_mtime
    except OSError as error:
        raise Wrong(f"{args.report} can't be read: {error.strerror}.") from error
    finished = args.finished_at or datetime.fromtimestamp(written, timezone.utc).isoformat()
    fields = {"suite": args.suite, "environment": args.environment, "finished_at": finished}
    fields["started_at"] = args.started_at or finished
    digests = args.builds or service.get(f"releases/{quote(args.release, '')}/")["builds"]
    run = service.upload("test-runs/", [*fields.items(), *(("builds", digest) for digest in digests)], report)
    say(", ".join(f"{run[name]} {name}" for name in ("passed", "failed", "errors", "skipped")))


def gate(service: Service, args: argparse.Namespace) -> int:
    """Ask whether a deployment might begin now, or wait until it might; nothing is taken."""

    def ask() -> list[Body]:
        answer = service.get(f"releases/{quote(args.release, '')}/readiness/", environment=args.environment)
        return [blocker for each in answer["gates"] for blocker in each["blockers"]]

    return wait_for(ask, args)


def start(service: Service, args: argparse.Namespace) -> int:
    """Begin a deployment, or wait until it may, and print its id: from then on the environment is taken until `end`."""
    body = {"release": args.release, "environment": args.environment, "status": "running", **said(args, *ATTEMPT)}

    def ask() -> list[Body]:
        try:
            print(service.post("deployments/", {**body, "started_at": now()})["id"])
        except Refused as error:
            if not error.problem.get("blockers"):
                raise
            return list(error.problem["blockers"])
        return []

    return wait_for(ask, args)


def end(service: Service, args: argparse.Namespace) -> None:
    """Say how a deployment that was started has ended."""
    path = f"deployments/{quote(args.deployment, '')}/transitions/{args.outcome}/"
    say(f"It {service.post(path, said(args, 'reason'))['status']}.")


def report(service: Service, args: argparse.Namespace) -> None:
    """Report a deployment that is over and asked no gate, and print its id."""
    finished = args.finished_at or now()
    body = {"started_at": args.started_at or finished, "finished_at": finished}
    named = said(args, "environment", "status", "product", "release", *ATTEMPT)
    made = service.post("deployments/", {**body, **named})
    if made["unauthorised"]:
        say(f"Nobody authorised it; on record as {made['change'] or 'a deployment only'}.")
    print(made["id"])


def said(args: argparse.Namespace, *names: str) -> Body:
    """What the command line says of these."""
    return {name: getattr(args, name) for name in names if getattr(args, name)}


def wait_for(ask: Callable[[], list[Body]], args: argparse.Namespace) -> int:
    """Ask until nothing is in the way or the time is over; what is in the way is told when it changes."""
    until, told = time.monotonic() + args.wait, ""
    while True:
        blockers = ask()
        if not blockers:
            say("Go.")
            return GO
        text = in_words(blockers)
        if text != told:
            say("No go:\n" + text)
        told, left = text, until - time.monotonic()
        if left <= 0:
            return TOO_LATE if args.wait else NO
        time.sleep(min(args.every, left))


def in_words(blockers: Sequence[Body]) -> str:
    """Why a gate is closed and who can open it, a line each."""
    who = [", ".join(blocker.get("who_can_clear") or ["nobody"]).replace("_", " ") for blocker in blockers]
    return "\n".join(f"- {each['reason']} (up to: {whom})" for each, whom in zip(blockers, who))


# --- the command line ---

INSTANT = {"metavar": "INSTANT", "help": "with its offset, for instance 2026-03-01T10:00:00Z"}
#: Each argument, as all commands understand it.
ARGUMENTS: dict[str, Body] = {
    "product": {"help": "the key of the product"},
    "component": {"help": "the key of the component"},
    "release": {"help": "its number or alias: REL-12, shop@4.2.0"},
    "environment": {"help": "the key of the environment"},
    "version": {},
    "transition": {"help": "build, pass_integration, accept, rework, …"},
    "suite": {"help": "smoke, integration, regression, acceptance, performance, security"},
    "report": {"help": "a JUnit XML file"},
    "deployment": {"help": "the id that start printed"},
    "outcome": {"choices": ["succeed", "fail", "cancel"]},
    "status": {"choices": ["succeeded", "failed", "cancelled"]},
    "--range": {"default": "HEAD", "help": "which commits, as git log takes it (HEAD and all before it)"},
    "--repo": {"default": ".", "help": "the clone (the current folder)"},
    "--digest": {"default": "", "metavar": "sha256:HEX", "help": "the digest of the artifact"},
    "--digest*": {"dest": "builds", "action": "append", "metavar": "sha256:HEX", "help": "a build (several times)"},
    "--failed": {"action": "store_true", "help": "it was to be built, and that failed"},
    "--uri": {"required": True, "help": "where the artifact is; with the component it says which build it is"},
    "--commit": {"default": "HEAD", "help": "what it was built from (HEAD)"},
    "--ci-url": {"default": "", "help": "the page of the run that built it"},
    "--title": {},
    "--type": {"choices": ["major", "minor", "patch", "emergency"]},
    "--model": {"help": "the key of the release model (the product's)"},
    "--component": {"dest": "components", "action": "append", "help": "may be given several times"},
    "--requested-by": {"metavar": "USER", "help": "the person for whom it is made: they won't sign it off"},
    "--database-change": {"choices": ["none", "reversible", "irreversible"]},
    "--release": {"help": "its number or alias"},
    "--product": {"help": "its key, where neither a release nor a registered build says it"},
    "--reason": {"default": "", "help": "why"},
    **dict.fromkeys(("--built-at", "--started-at", "--finished-at"), INSTANT),
    "--wait": {"type": float, "default": 0, "metavar": "SECONDS", "help": "for how long to ask again (ask once)"},
    "--every": {"type": float, "default": 15, "metavar": "SECONDS", "help": "how often to ask (15)"},
    "--kind": {"choices": ["deploy", "rollback", "redeploy"], "help": "a rollback to what ran there needs no window"},
    "--external-id": {"metavar": "ID", "help": "the run's own id: the same one again is the same deployment"},
    "--remediates": {"metavar": "DEPLOYMENT", "type": int, "help": "the id of the one whose damage this repairs"},
}
ATTEMPT = ("builds", "kind", "external_id", "remediates")
OF_ATTEMPT = " --digest* --kind --external-id --remediates"
COMMANDS: dict[Callable[[Service, argparse.Namespace], int | None], str] = {
    commits: "product --range --repo",
    build: "product component --uri --digest --failed --commit --built-at --ci-url --repo",
    release: "product version --digest* --title --type --model --component --requested-by --database-change",
    move: "release transition --reason",
    tests: "release suite environment report --digest* --started-at --finished-at",
    gate: "release environment --wait --every",
    start: "release environment --wait --every" + OF_ATTEMPT,
    end: "deployment outcome --reason",
    report: "environment status --release --product --started-at --finished-at" + OF_ATTEMPT,
}


def parser() -> argparse.ArgumentParser:
    """What the command line takes."""
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser("relctl", description=__doc__, epilog=EPILOG, formatter_class=raw)
    top.add_argument("--url", default=os.environ.get("RELCTL_URL", ""), help="where the service is (RELCTL_URL)")
    told = "how long to try while there is no answer (60)"
    top.add_argument("--retry-for", type=float, default=60.0, metavar="SECONDS", help=told)
    commands = top.add_subparsers(metavar="COMMAND", dest="command", required=True)
    for act, names in COMMANDS.items():
        one = commands.add_parser(act.__name__, help=act.__doc__, description=act.__doc__)
        one.set_defaults(act=act)
        for name in names.split():
            one.add_argument(name.rstrip("*"), **ARGUMENTS[name])
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry one command out; answers the exit status."""
    args = parser().parse_args(arguments)
    try:
        service = Service(args.url, os.environ.get("RELCTL_TOKEN", ""), retry_for=args.retry_for)
        return int(args.act(service, args) or GO)
    except Wrong as error:
        status, text = WRONG, str(error)
    except Unreachable as error:
        status, text = UNREACHABLE, str(error)
    except Refused as error:
        status, text = NO, str(error)
        text += "".join("\n- {pointer}: {detail}".format(**each) for each in error.problem.get("errors") or [])
        text += "\n" + in_words(error.problem.get("blockers") or [])
    say("relctl: " + text.strip())
    return status


if __name__ == "__main__":
    sys.exit(main())
