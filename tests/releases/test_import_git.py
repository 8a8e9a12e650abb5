"""`import_git` on real repositories that the tests make with git itself, and that git itself is asked about."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from releasemgmt.catalog.models import Product
from releasemgmt.integrations import git
from releasemgmt.releases.models import Commit, Release
from releasemgmt.releases.policies import Kind, classify
from releasemgmt.workflow import queries
from releasemgmt.workflow.models import Event
from tests.factories import ProductFactory, someone

pytestmark = pytest.mark.django_db

DAY = 86_400
START = 1_700_000_000
EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


class Made:
    """A repository in the making: bare, with commits and tags put there one by one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", path], check=True)
        self.git("mktree", stdin=b"")

    def git(self, *arguments: str, stdin: bytes | None = None, **environment: str) -> str:
        who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in NAMED.items()}
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            input=stdin,
            capture_output=True,
            check=True,
            env={"PATH": os.environ["PATH"], **who, **environment},
        )
        return done.stdout.decode().strip()

    def commit(self, subject: str, *parents: str, day: int = 0) -> str:
        at = f"{START + day * DAY} +0200"
        flags = [flag for parent in parents for flag in ("-p", parent)]
        arguments = ("commit-tree", EMPTY_TREE, *flags, "-m", subject)
        sha = self.git(*arguments, GIT_AUTHOR_DATE=at, GIT_COMMITTER_DATE=at)
        self.git("update-ref", "refs/heads/main", sha)
        return sha

    def write(self, commit: bytes) -> str:
        """A commit as bytes, right or wrong."""
        sha = self.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=commit)
        self.git("update-ref", "refs/heads/main", sha)
        return sha

    def tag(self, name: str, sha: str, *, day: int | None = None) -> None:
        """An annotated tag of that day, or without one a lightweight tag."""
        if day is None:
            self.git("tag", name, sha)
        else:
            self.git("tag", "-a", "-m", name, name, sha, GIT_COMMITTER_DATE=f"{START + day * DAY} +0000")


NAMED = {"NAME": "Ann Example", "EMAIL": "Ann@example.org"}


@pytest.fixture
def repo(tmp_path: Path) -> Made:
    return Made(tmp_path / "repo.git")


@pytest.fixture
def product() -> Product:
    product: Product = ProductFactory(key="shop")
    return product


def import_git(path: Path, product: str = "shop", **options: Any) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("import_git", repo=path, product=product, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def contained_first(made: Made, tags: Sequence[str]) -> dict[str, set[str]]:
    """What git says: reachable from a tag and from none before it."""
    return {
        tag: set(made.git("rev-list", tag, *(f"^{earlier}" for earlier in tags[:n])).split())
        for n, tag in enumerate(tags)
    }


def owned() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {version: set() for version in Release.objects.values_list("version", flat=True)}
    for version, sha in Release.objects.values_list("version", "commits__sha"):
        found[version] |= {sha} - {None}
    return found


def test_commits_and_tags_become_commits_and_past_releases(product: Product, repo: Made) -> None:
    root = repo.commit("SHOP-1: begin")
    branch = repo.commit("On a branch", root, day=1)
    merge = repo.commit("Merge", repo.commit("On main", root, day=2), branch, day=3)
    repo.tag("v1.0", root)
    repo.tag("v1.1", merge, day=5)
    out, _err = import_git(repo.path)
    assert "4 commits, 4 of them new." in out
    assert "2 past releases, 2 of them new." in out
    assert Commit.objects.get(sha=merge).is_merge
    first = Commit.objects.get(sha=root)
    assert (first.subject, first.work_items, first.author) == ("SHOP-1: begin", ["SHOP-1"], "ann@example.org")
    assert first.committed_at.timestamp() == START
    facts = Release.objects.order_by("version").values_list("version", "state", "imported", "commits__sha")
    assert {(version, state, imported) for version, state, imported, _sha in facts} == {
        ("1.0", "closed", True),
        ("1.1", "closed", True),
    }
    dates = {release.version: release.released_at for release in Release.objects.all()}
    assert [dates[version].timestamp() for version in ("1.0", "1.1")] == [START, START + 5 * DAY]  # type: ignore[union-attr]
    assert list(queries.breaks()) == []


def test_a_second_run_adds_only_what_is_new(product: Product, repo: Made) -> None:
    root = repo.commit("Begin")
    repo.tag("1.0", root)
    import_git(repo.path)
    before = Event.objects.count()
    out, _err = import_git(repo.path)
    assert "1 commits, 0 of them new." in out
    assert Event.objects.count() == before
    repo.tag("1.1", repo.commit("Go on", root, day=1), day=1)
    out, _err = import_git(repo.path)
    assert "2 commits, 1 of them new." in out
    assert "2 past releases, 1 of them new." in out


#: Parents of each commit, and the tags in the order of their days.
SHAPES: dict[str, tuple[list[list[int]], list[int]]] = {
    "one line": ([[], [0], [1], [2]], [1, 3]),
    "a hotfix on an older line": ([[], [0], [1], [0], [3], [2, 4]], [1, 4, 5]),
    "parallel lines, released in turn": ([[], [0], [0], [1], [2], [3], [4]], [1, 2, 3, 4, 5, 6]),
    "released from the branch before main": ([[], [0], [0], [1, 2], [3]], [2, 1, 4]),
    "criss-cross merges": ([[], [0], [0], [1, 2], [2, 1], [3, 4], [4, 3]], [3, 4, 5, 6]),
    "an octopus": ([[], [0], [0], [0], [1, 2, 3]], [2, 4]),
    "two roots": ([[], [], [0, 1], [2]], [1, 2, 3]),
    "an older commit is released last": ([[], [0], [1]], [2, 0]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_containment_is_what_rev_list_says(product: Product, repo: Made, shape: str) -> None:
    parents, tagged = SHAPES[shape]
    tags = build(repo, parents, tagged)
    import_git(repo.path)
    assert owned() == contained_first(repo, tags)


def build(made: Made, parents: Sequence[Sequence[int]], tagged: Sequence[int]) -> list[str]:
    shas: list[str] = []
    for n, each in enumerate(parents):
        shas.append(made.commit(f"Commit {n}", *(shas[parent] for parent in each), day=n))
    tags = [f"1.{day}" for day, _n in enumerate(tagged)]
    for day, (tag, n) in enumerate(zip(tags, tagged, strict=True)):
        made.tag(tag, shas[n], day=100 + day)
    return tags


@st.composite
def shapes(draw: st.DrawFn) -> tuple[list[list[int]], list[int]]:
    size = draw(st.integers(2, 12))
    parents = [draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=3, unique=True)) for n in range(1, size)]
    tagged = draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=5, unique=True))
    return [[], *parents], tagged


@given(shape=shapes())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_containment_is_what_rev_list_says_on_any_graph(
    product: Product, tmp_path_factory: pytest.TempPathFactory, shape: tuple[list[list[int]], list[int]]
) -> None:
    made = Made(tmp_path_factory.mktemp("graph") / "repo.git")
    tags = build(made, *shape)
    with transaction.atomic():
        import_git(made.path)
        # What no branch or tag reaches is no history.
        reached = set(made.git("rev-list", "HEAD", "--tags").split())
        assert set(Commit.objects.values_list("sha", flat=True)) == reached
        assert owned() == contained_first(made, tags)
        transaction.set_rollback(True)


def test_two_tags_on_one_commit_are_one_release(product: Product, repo: Made) -> None:
    root = repo.commit("Begin")
    for tag, day in (("1.0.2", 1), ("v1.0.2", 2), ("release-1.0.3", 3)):
        repo.tag(tag, root, day=day)
    out, _err = import_git(repo.path)
    assert "1 past releases, 1 of them new; second names of the same commit: 1.0.2, 1.0.3." in out
    assert Release.objects.values_list("version", flat=True).get() == "1.0.2"


def test_a_version_of_two_commits_is_told(product: Product, repo: Made) -> None:
    root = repo.commit("Begin")
    later = repo.commit("Later", root)
    repo.tag("1.0", root, day=1)
    repo.tag("v1.0", later, day=2)
    for _run in range(2):
        out, err = import_git(repo.path)
        assert err == f"Left out: 1.0 is commit {root[:10]} already, and not {later[:10]} too.\n"
        assert "second names" not in out


def test_other_tags_are_named_and_left_out(product: Product, repo: Made) -> None:
    root = repo.commit("Begin")
    for tag in ("1.0-rc.1", "1.0b2", "latest", "deploy/17"):
        repo.tag(tag, root, day=1)
    repo.tag("1.0", root, day=20_000)
    repo.git("tag", "-m", "x", "1.1", EMPTY_TREE)
    out, _err = import_git(repo.path)
    assert "Left out as pre-release: 2 tags (1.0-rc.1, 1.0b2)." in out
    assert "Left out as other: 2 tags (deploy/17, latest)." in out
    assert "Left out as dated in the future: 1 tags (1.0)." in out
    assert not Release.objects.exists()


def test_a_tag_of_a_tag_counts_for_its_commit(product: Product, repo: Made) -> None:
    repo.tag("inner", repo.commit("Begin"), day=1)
    repo.tag("1.0", "inner", day=2)
    import_git(repo.path)
    assert Release.objects.get(version="1.0").commits.count() == 1


@pytest.mark.parametrize(
    ("tag", "kind", "version"),
    [
        ("1.2", Kind.RELEASE, "1.2"),
        ("v1.2.3", Kind.RELEASE, "1.2.3"),
        ("release/4.5", Kind.RELEASE, "4.5"),
        ("shop-2.0.1", Kind.RELEASE, "2.0.1"),
        ("shop@2.0.1", Kind.RELEASE, "2.0.1"),
        ("v12", Kind.RELEASE, "12"),
        ("2026-03-01", Kind.RELEASE, "2026-03-01"),
        ("1.0.post1", Kind.RELEASE, "1.0.post1"),
        ("1.2.3+build.5", Kind.RELEASE, "1.2.3+build.5"),
        ("v1.2.3-rc.1", Kind.PRE_RELEASE, ""),
        ("1.2.3-rc1+x", Kind.PRE_RELEASE, ""),
        ("1.2b3", Kind.PRE_RELEASE, ""),
        ("1.2.dev0", Kind.PRE_RELEASE, ""),
        ("12", Kind.OTHER, ""),
        ("other-1.2", Kind.OTHER, ""),
        ("latest", Kind.OTHER, ""),
        ("v" + "1." * 60 + "0", Kind.OTHER, ""),
    ],
)
def test_a_tag_is_a_version_or_it_is_not(tag: str, kind: Kind, version: str) -> None:
    assert classify(tag, product="shop") == (kind, version)


HEADER = b"tree " + EMPTY_TREE.encode() + b"\n"


@pytest.mark.parametrize(
    ("written", "subject", "year"),
    [
        (b"author A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nlatin \xe9\xff\n", "latin \ufffd\ufffd", 1970),
        (
            b"author A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\nencoding ISO-8859-1\n\ncaf\xe9\n",
            "café",
            1970,
        ),
        (b"author A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\nbefore\x00after\n", "before", 1970),
        (b"author A <a@x> 1 +0000\ncommitter A <a@x> 1 +0000\n\n", "", 1970),
        (b"author A <a@x> -99 +0000\ncommitter A <a@x> 1700000000 +0000\n\nOld\n", "Old", 2023),
        (b"author A <a@x> 99999999999999999 +0000\ncommitter A <a@x> 1700000000 +9999\n\nFar\n", "Far", 2023),
        (b"author A <a@x> 1700000000 +0000\ncommitter A <a@x> 253402300800 +0000\n\nYear 10000\n", "Year 10000", 2023),
        (b"author nobody\ncommitter nobody\n\nNo date\n", "No date", 1970),
    ],
)
def test_broken_commits_are_read_as_well_as_they_can_be(
    product: Product, repo: Made, written: bytes, subject: str, year: int
) -> None:
    repo.write(HEADER + written)
    import_git(repo.path)
    commit = Commit.objects.get()
    assert (commit.subject, commit.authored_at.year) == (subject, year)


def test_machines_are_told_from_people(product: Product, repo: Made) -> None:
    lines = "author {0} <{1}> 1 +0000\ncommitter {0} <{1}> 1 +0000\n\nSubject {0}\n"
    for name, address in (("dependabot[bot]", "support@x"), ("Robot Smith", "robot@x")):
        head = repo.git("for-each-ref", "--format=parent %(objectname)\n", "refs/heads/main")
        parent = f"{head}\n" if head else ""
        repo.write(HEADER + parent.encode() + lines.format(name, address).encode())
    import_git(repo.path)
    assert set(Commit.objects.values_list("author", "is_bot")) == {("support@x", True), ("robot@x", False)}


def test_a_shallow_clone_says_so_and_is_completed_by_the_next_run(product: Product, repo: Made, tmp_path: Path) -> None:
    root = repo.commit("Begin")
    second = repo.commit("Go on", root, day=1)
    repo.tag("1.0", repo.commit("End", second, day=2), day=3)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--depth=2", f"file://{repo.path}", clone], check=True)
    _out, err = import_git(clone)
    assert "git fetch --unshallow" in err
    assert Commit.objects.get(sha=second).parents == [root]
    subprocess.run(["git", "fetch", "-q", "--unshallow"], check=True, cwd=clone)
    _out, err = import_git(clone)
    assert err == ""
    assert Release.objects.get().commits.count() == 3


def test_a_repository_without_a_commit_says_so(product: Product, repo: Made) -> None:
    assert "no commit yet" in import_git(repo.path)[0]


def no_repository(path: Path) -> Path:
    folder = path / "plain"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("where", "product_key", "options", "reason"),
    [
        (lambda path: path / "absent", "shop", {}, "There is no folder"),
        (no_repository, "shop", {}, "not a git repository"),
        (lambda path: path, "no-such", {}, "There is no product no-such. There are: shop."),
        (lambda path: path, "shop", {"username": "nobody"}, "There is no active user nobody."),
    ],
)
def test_what_cannot_be_imported_says_why(
    product: Product, tmp_path: Path, where: Callable[[Path], Path], product_key: str, options: Any, reason: str
) -> None:
    with pytest.raises(CommandError, match=reason):
        import_git(where(tmp_path), product_key, **options)
    assert not Commit.objects.exists()


def test_a_machine_without_git_says_so(product: Product, repo: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repo.path))
    with pytest.raises(CommandError, match="git is not installed"):
        import_git(repo.path)


def test_who_may_not_import_is_refused(product: Product, repo: Made) -> None:
    repo.tag("1.0", repo.commit("Begin"))
    auditor = someone("auditor", team=product.team)
    with pytest.raises(CommandError, match="You may not send commits"):
        import_git(repo.path, username=auditor.username)
    assert not Commit.objects.exists()
    assert not queries.timeline(product).exists()


def test_a_named_administrator_stands_in_the_events(product: Product, repo: Made) -> None:
    repo.tag("1.0", repo.commit("Begin"))
    person = someone("administrator", "contributor", team=product.team)
    import_git(repo.path, username=person.username)
    assert set(queries.timeline(product).values_list("actor", flat=True)) == {person.pk}


def test_variables_of_a_hook_do_not_name_another_repository(
    product: Product, repo: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repo.commit("Here")
    monkeypatch.setenv("GIT_DIR", str(Made(tmp_path / "other.git").path))
    import_git(repo.path)
    assert Commit.objects.get().subject == "Here"


def test_the_archive_of_a_commit_is_the_same_each_time(repo: Made) -> None:
    repo.commit("Begin")
    repository = git.Repository(repo.path)
    assert b"".join(repository.archive()) == b"".join(repository.archive()) != b""
