"""An artifact of a step by its content: a tree of JSON that stands for it, its digest, and its members.

Whoever has the live object (a picture, a tensor) keeps it beside the tree; a plan has the tree alone, and that is
enough to say whether a later step has had the same inputs before.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from dw_lsp.workflow.identity import content_digest

#: Text, numbers, true, false and null stand for themselves; everything else is an object with one of these keys.
Tree: TypeAlias = Any
OBJECT, LIST, TUPLE, IMAGE, ARRAY, TENSOR, OPAQUE = "object", "list", "tuple", "image", "array", "tensor", "opaque"
#: A recording, and frames with one: their members are trees, and always the same ones.
SOUND, FILM = "sound", "film"
MEMBERS = {SOUND: frozenset({"samples", "sample_rate"}), FILM: frozenset({"frames", "audio", "fps"})}


class _Absent:
    """Stands for a live object that is not at hand."""


ABSENT = _Absent()


class Artifact:
    """One artifact. Arguments: its tree; the live object, if it is at hand; where its contents are stored.

    `stored` maps the digest of a picture's or a tensor's content to the name of an object in the store; `png` is the
    picture as a PNG without metadata, once somebody has made it.
    """

    __slots__ = ("_digest", "live", "png", "stored", "tree")

    def __init__(self, tree: Tree, live: Any = ABSENT, stored: Mapping[str, str] | None = None):
        self.tree, self.live, self.stored = tree, live, stored or {}
        self.png: bytes | None = None
        self._digest: str | None = None

    @property
    def digest(self) -> str | None:
        """The digest of the content; `None` for what no tree can express."""
        if self._digest is None:
            self._digest = "" if is_opaque(self.tree) else content_digest(_text(self.tree))
        return self._digest or None

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Width and height of a picture."""
        if isinstance(self.tree, dict) and IMAGE in self.tree:
            width, height = self.tree[IMAGE]["size"]
            return width, height
        return None


class ObjectArtifact(Artifact, Mapping[str, Artifact]):
    """An artifact with named members."""

    __slots__ = ()

    def __getitem__(self, name: str) -> Artifact:
        live = self.live[name] if isinstance(self.live, Mapping) else ABSENT
        return artifact_of(self.tree[OBJECT][name], live, self.stored)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tree[OBJECT])

    def __len__(self) -> int:
        return len(self.tree[OBJECT])


def artifact_of(tree: Tree, live: Any = ABSENT, stored: Mapping[str, str] | None = None) -> Artifact:
    """The artifact of a tree."""
    if isinstance(tree, dict):
        kind = ObjectArtifact if OBJECT in tree else Artifact
        return kind(tree, live, stored)
    return Artifact(tree, tree, stored)


def member_of(artifact: Artifact, name: str) -> Artifact | None:
    """A member of an object, a recording or a film; `None` for what has no such member in its tree."""
    if isinstance(artifact, ObjectArtifact):
        return artifact.get(name)
    for kind in MEMBERS:
        if isinstance(artifact.tree, dict) and name in artifact.tree.get(kind, ()):
            live = ABSENT if artifact.live is ABSENT else getattr(artifact.live, name)
            return artifact_of(artifact.tree[kind][name], live, artifact.stored)
    return None


def plain_value(value: Any) -> tuple[Any] | None:
    """A value, with artifacts in it, as JSON could hold it (in a tuple, since it may be null); else `None`."""
    if isinstance(value, Artifact):
        return _plain_tree(value.tree)
    if isinstance(value, dict):
        return _plain_members(value, plain_value)
    if isinstance(value, list):
        return _plain_items(value, plain_value)
    return (value,) if value is None or isinstance(value, (str, int, float)) else None


def _plain_tree(tree: Tree) -> tuple[Any] | None:
    if not isinstance(tree, dict):
        return (tree,)
    if OBJECT in tree:
        return _plain_members(tree[OBJECT], _plain_tree)
    return _plain_items(tree[LIST], _plain_tree) if LIST in tree else None


def _plain_members(members: Mapping[str, Any], plain: Callable[[Any], tuple[Any] | None]) -> tuple[Any] | None:
    found = {name: plain(item) for name, item in members.items()}
    return ({name: item[0] for name, item in found.items() if item},) if all(found.values()) else None


def _plain_items(items: Iterable[Any], plain: Callable[[Any], tuple[Any] | None]) -> tuple[Any] | None:
    found = [plain(item) for item in items]
    return ([item[0] for item in found if item],) if all(found) else None


def is_opaque(tree: Tree) -> bool:
    """Whether something in a tree has no content that could be compared."""
    if not isinstance(tree, dict):
        return False
    if OPAQUE in tree:
        return True
    return any(is_opaque(item) for item in _members(tree))


def _members(tree: Tree) -> Iterable[Tree]:
    ((kind, content),) = tree.items()
    if kind in (LIST, TUPLE):
        return list(content)
    return list(content.values()) if kind in (OBJECT, *MEMBERS) else ()


def check_tree(tree: Tree) -> None:
    """Raise `ValueError` unless a tree that was read from a file has the form of one, and nothing opaque in it."""
    if not isinstance(tree, dict):
        if isinstance(tree, list):
            raise ValueError("a list stands outside of a tree's members")
        return
    ((kind, content),) = tree.items()
    if kind in (OBJECT, LIST, TUPLE, *MEMBERS):
        _check_members(kind, content)
    elif kind == IMAGE:
        width, height = content["size"]
        if not (isinstance(width, int) and isinstance(height, int) and width > 0 and height > 0):
            raise ValueError("a picture has no size")
        _check_content(content)
    elif kind in (ARRAY, TENSOR):
        if not all(isinstance(size, int) and size >= 0 for size in content["shape"]):
            raise ValueError("an array has no shape")
        _check_content(content)
    else:
        raise ValueError(f"{kind!r} is no kind of artifact")


def _check_members(kind: str, content: Any) -> None:
    whole = isinstance(content, list if kind in (LIST, TUPLE) else dict)
    if not whole or (kind in MEMBERS and content.keys() != MEMBERS[kind]):
        raise ValueError(f"{kind!r} does not hold what it should")
    for item in _members({kind: content}):
        check_tree(item)


def _check_content(content: Any) -> None:
    if not isinstance(content["content"], str):
        raise ValueError("a content has no digest")


def contents_of(tree: Tree) -> Iterator[str]:
    """The digests of all pictures, arrays and tensors in a tree."""
    if not isinstance(tree, dict):
        return
    for kind in (IMAGE, ARRAY, TENSOR):
        if kind in tree:
            yield str(tree[kind]["content"])
    for item in _members(tree):
        yield from contents_of(item)


def _text(tree: Tree) -> str:
    if isinstance(tree, str):
        return tree
    return "\0" + json.dumps(tree, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
