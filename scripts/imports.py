#!/usr/bin/env python3
"""Fails where files under src/ import each other in a circle, or where a room imports what stands above it.

Follows the paths of every file (`crate::…`, `super::…`, and names that `use` brought in) to the file that defines what they
name, also where another module re-exports it. What stands under `#[cfg(test)]`, and tests.rs, may import anything. The one
circle that is allowed is that of a module with the files of its own folder: of `mod.rs`, or of `x.rs` beside `x/`.

Usage: scripts/imports.py [SRC]
"""

import re
import sys
from pathlib import Path

# What a room must not import: these rooms, or with `*` any other.
FORBIDDEN = {
    "terminal": ["*"],
    "schema": ["record", "replay", "export", "report", "query", "verify", "check", "derive", "model", "archive"],
    "record": ["replay", "export", "report", "query", "verify", "check", "derive", "model"],
    "model": ["record", "replay", "export", "report", "query", "verify", "check", "derive"],
    "archive": ["record", "replay", "export", "report", "query", "verify", "check", "derive", "model"],
    "derive": ["record", "replay", "export", "report", "query", "verify", "check"],
    "replay": ["record", "report", "check", "derive"],
    "export": ["record", "replay", "report", "query", "verify", "check", "derive"],
    "report": ["record", "query", "check"],
    "query": ["record", "replay", "report", "verify", "check", "derive"],
    "verify": ["record", "replay", "report", "query", "check", "derive"],
    "view": ["record", "query", "verify", "check", "derive"],
}
# What nobody imports but these rooms.
IMPORTED_BY = {"cli": ["main"], "report": ["cli"], "view": ["cli"]}

TOKEN = re.compile(r"r(#*)\"|b?\"|//[^\n]*|/\*|b?'(?:\\.[^']*|[^\\'])'|[A-Za-z_]\w*|::|.", re.S)


def tokens(text):
    """Words and signs of Rust without comments, strings and characters."""
    at, found = 0, []
    while match := TOKEN.match(text, at):
        at, token = match.end(), match.group()
        if match.group(1) is not None:
            at = text.index('"' + match.group(1), at) + 1 + len(match.group(1))
        elif token.endswith('"'):
            at = re.compile(r'(?:[^"\\]|\\.)*"', re.S).match(text, at).end()
        elif token == "/*":
            depth = 1
            while depth:
                sign = re.compile(r"/\*|\*/").search(text, at)
                depth, at = depth + (1 if sign.group() == "/*" else -1), sign.end()
        elif not token.isspace() and not token.startswith("//") and not token.endswith("'"):
            found.append(token)
    return found


def end_of_item(words, at):
    """Where the item that begins at `at` ends: behind its braces, or its semicolon."""
    depth = 0
    while at < len(words):
        depth += (words[at] in "({[") - (words[at] in ")}]")
        at += 1
        if depth == 0 and words[at - 1] in (";", "}"):
            break
    return at


def without_tests(words):
    """Leaves out each item under `#[cfg(test)]`."""
    kept, at, mark = [], 0, ["#", "[", "cfg", "(", "test", ")", "]"]
    while at < len(words):
        if words[at : at + 7] == mark:
            at = end_of_item(words, at + 7)
        else:
            kept.append(words[at])
            at += 1
    return kept


def use_tree(words, at, front):
    """The `(name, path)` that a use tree binds, and where it ends."""
    path, bound = list(front), []
    while words[at] not in (",", ";", "}"):
        if words[at] == "{":
            at += 1
            while words[at] != "}":
                inner, at = use_tree(words, at, path)
                bound += inner
                at += words[at] == ","
            return bound, at + 1
        if words[at] == "as":
            return [(words[at + 1], path)], at + 2
        if words[at] == "self" and path:
            at += 1
        elif words[at] != "::":
            path.append(words[at])
            at += 1
        else:
            at += 1
    return [(path[-1], path)], at


class File:
    """A file, the module that it is, and what stands in it."""

    def __init__(self, path, src):
        parts = list(path.relative_to(src).with_suffix("").parts)
        if parts[-1] in ("mod", "lib") or parts == ["main"]:
            parts = parts[:-1]
        self.name = str(path.relative_to(src))
        self.module = tuple(parts)
        self.room = Path(self.name).parts[0].removesuffix(".rs")
        below = {file.parent for file in path.with_suffix("").glob("*.rs") if file.name != "tests.rs"}
        self.is_head = path.name in ("mod.rs", "lib.rs", "main.rs") or bool(below)
        self.folder = next(iter(below), path.parent)
        self.names, self.children = {}, set()
        # Paths that it uses, that it re-exports, and of these what it re-exports as a whole.
        self.paths, self.offered, self.public_globs = [], [], []
        self.read(without_tests(tokens(path.read_text())))

    def read(self, words):
        at = 0
        while at < len(words):
            word = words[at]
            if word == "mod" and words[at + 2 : at + 3] == [";"]:
                self.children.add(words[at + 1])
            if word == "use" and words[at + 1 : at + 2] != ["<"]:  # `use<'a>` is a bound
                public = words[at - 1 : at] in (["pub"], [")"])
                bound, at = use_tree(words, at + 1, [])
                for name, path in bound:
                    (self.offered if public else self.paths).append(path)
                    if public and name == "*":
                        self.public_globs.append(path[:-1])
                    self.names.setdefault(name, []).append(path)
            elif word.isidentifier() and words[at + 1 : at + 2] == ["::"] and words[at - 1 : at] != ["::"]:
                path = [word]
                while words[at + 1 : at + 2] == ["::"] and words[at + 2 : at + 3] and words[at + 2].isidentifier():
                    path.append(words[at + 2])
                    at += 2
                self.paths.append(path)
                at += 1
            else:
                at += 1


class Crate:
    def __init__(self, src):
        self.files = [File(path, src) for path in sorted(src.rglob("*.rs")) if path.name != "tests.rs"]
        self.modules = {}
        for file in self.files:
            if file.name != "main.rs":
                self.modules[file.module] = file

    def resolve(self, module, path, seen=()):
        """The files that `path`, as the file of `module` has it, leads to; none for another crate's."""
        first, rest = path[0], path[1:]
        if first in ("crate", "vmtrace"):
            return self.walk((), rest, seen)
        if first in ("self", "super"):
            while path and path[0] in ("self", "super"):
                module, path = module[: -1 if path[0] == "super" else None], path[1:]
            return self.walk(module, path, seen)
        file = self.modules.get(module)
        if file and (first in file.children or first in file.names):
            return self.walk(module, path, seen)
        return set()

    def walk(self, module, path, seen):
        """Follows `path` from `module` to the file in which the last name is defined."""
        file = self.modules.get(module)
        if file is None or (module, *path[:1]) in seen:
            return set()
        seen = (*seen, (module, *path[:1]))
        if not path:
            return {file.name}
        if path[0] in file.children and module + (path[0],) in self.modules:
            return self.walk(module + (path[0],), path[1:], seen)
        if path[0] in file.names:
            return set().union(*(self.resolve(module, to + path[1:], seen) for to in file.names[path[0]]))
        # Whatever is re-exported as a whole may define it, too.
        return {file.name}.union(*(self.resolve(module, to + path, seen) for to in file.public_globs))

    def led_to(self, file, paths):
        """The other files that `paths` in `file` lead to."""
        module = () if file.name == "main.rs" else file.module
        return set().union(*(self.resolve(module, path) for path in paths)) - {file.name}


def way(edges, start, end):
    """The shortest way along imports from `start` to `end`, or nothing."""
    before, queue = {start: None}, [start]
    for at in queue:
        if at == end:
            found = []
            while at:
                found, at = [at, *found], before[at]
            return found
        for to in sorted(edges[at] - before.keys()):
            before[to] = at
            queue.append(to)
    return []


def shortest_circle(edges, closing):
    """The shortest circle of which one of the edges `closing` is a part."""
    found = [[a, *back] for a, b in closing if (back := way(edges, b, a))]
    return min(found, key=len, default=None)


def complaints(crate):
    """Everything that is wrong, in words; of circles only the shortest."""
    files = {file.name: file for file in crate.files}
    edges = {file.name: crate.led_to(file, file.paths) for file in crate.files}

    def own_head(name, to):
        return files[to].is_head and files[to].folder == files[name].folder

    between = [(a, b) for a in edges for b in edges[a] if files[a].folder != files[b].folder]
    if circle := shortest_circle(edges, between):
        yield f"a circle between folders: {' → '.join(circle)}"
    inner = {name: {to for to in edges[name] if not own_head(name, to)} for name in edges}
    if not circle and (circle := shortest_circle(inner, [(a, b) for a in inner for b in inner[a]])):
        yield f"a circle: {' → '.join(circle)}"
    for name, file in files.items():
        room, imported = file.room, edges[name] | crate.led_to(file, file.offered)
        forbidden = FORBIDDEN.get(room, [])
        for other in sorted({files[to].room for to in imported} - {room}):
            if other in forbidden or "*" in forbidden:
                yield f"{name} imports {other}, which {room} must not know"
            if room not in IMPORTED_BY.get(other, [room]):
                yield f"{name} imports {other}, which only {' and '.join(IMPORTED_BY[other])} may"


def main():
    crate = Crate(Path(sys.argv[1] if len(sys.argv) > 1 else "src"))
    if not crate.files:
        sys.exit("imports: no Rust files there")
    found = list(complaints(crate))
    for complaint in found:
        print(f"imports: {complaint}", file=sys.stderr)
    sys.exit(1 if found else 0)


main()
