"""Why a command was refused; faces translate these, nothing else does (web.errors maps them to RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from releasemgmt.workflow.gates import Blocker


class Refused(Exception):
    """A command that was not carried out; nothing has been written.

    `code` is stable for machines, the message says what the user can do. `audited` refusals are put on the
    caller's own stream by the face that made the call.
    """

    code = "refused"
    audited = False

    def __init__(self, detail: str, *, code: str | None = None, audited: bool | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code or self.code
        self.audited = self.audited if audited is None else audited

    def extra(self) -> dict[str, object]:
        """Members that the problem document carries beside the standard ones."""
        return {}


class Invalid(Refused):
    """Values that can't be accepted (400): `errors` maps a field, or a path like `builds.0`, to its reason."""

    code = "invalid"

    def __init__(self, errors: Mapping[str, str], *, code: str | None = None) -> None:
        super().__init__(" ".join(errors.values()), code=code)
        self.errors = dict(errors)

    def extra(self) -> dict[str, object]:
        return {
            "errors": [
                {"pointer": "/" + field.replace(".", "/"), "code": self.code, "detail": reason}
                for field, reason in self.errors.items()
            ]
        }


class NotPermitted(Refused):
    """The actor may not do this (403)."""

    code = "not_permitted"
    audited = True


class Absent(Refused):
    """Something named does not exist, or the caller may not see it (404)."""

    code = "not_found"


class WrongState(Refused):
    """The record is in a state that the transition does not leave (409)."""

    code = "wrong_state"

    def __init__(self, detail: str, *, allowed: Sequence[str]) -> None:
        super().__init__(detail)
        self.allowed = list(allowed)

    def extra(self) -> dict[str, object]:
        return {"allowed_transitions": self.allowed}


class Blocked(Refused):
    """Gates are closed (409); each blocker says why and who can clear it, `next_open` when time clears them."""

    code = "blocked"

    def __init__(self, detail: str, *, blockers: Sequence[Blocker]) -> None:
        super().__init__(detail)
        self.blockers = list(blockers)

    def extra(self) -> dict[str, object]:
        times = [blocker.next_open for blocker in self.blockers if blocker.next_open]
        later = {"next_open": max(times)} if times else {}
        return {"blockers": [blocker.as_json() for blocker in self.blockers], **later}


class Conflict(Refused):
    """The request contradicts what is recorded already (409); `facts` say what, as members of the problem."""

    code = "conflict"

    def __init__(self, detail: str, *, code: str | None = None, audited: bool | None = None, **facts: object) -> None:
        super().__init__(detail, code=code, audited=audited)
        self.facts = facts

    def extra(self) -> dict[str, object]:
        return dict(self.facts)


class Stale(Conflict):
    """The caller decided on an older content than there is now (412)."""

    code = "stale"
