"""The files whose servers and defaults hold for a trip file, and how they are laid over each other."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mailtrip_checks.definitions.mistakes import Mark, Mistakes, did_you_mean
from mailtrip_checks.definitions.places import EMBEDDED, RESERVED, cut
from mailtrip_checks.definitions.schema import FileKeys
from mailtrip_checks.definitions.tree import Items, Map, Text, Tree, is_file, listed
from mailtrip_checks.definitions.validation import Subject, validated
from mailtrip_checks.definitions.yaml_file import read_yaml
from mailtrip_checks.trips import Protocol

SHARED_FILE: Final = "mailtrip.yaml"
_ADDING_UP: Final = ("tags", "needs", "schedule", "maintenance")
_KINDS: Final = frozenset[str]({Protocol.SENDMAIL, Protocol.LISTEN})
_LOOK_ALIKES: Final = ("mailtrip.yml", "mailtrips.yaml")


@dataclass(frozen=True, slots=True)
class Layer:
    """One file's share, its references not filled in."""

    path: Path
    servers: Map
    defaults: Map
    environments: Map
    trips: Map


@dataclass(frozen=True, slots=True)
class Ground:
    """What holds for the trips of one file: the layers from far to near, laid over each other."""

    servers: Map
    defaults: Map


def read_layer(path: Path, mistakes: Mistakes) -> Layer | None:
    """A trip file or a mailtrip.yaml; None where it is none at all."""
    tree = read_yaml(path, mistakes)
    if tree is None:
        return None
    validated(FileKeys, Subject(tree, mistakes))
    environments = _map(tree, "environments")
    for servers in (_map(tree, "servers"), *(_map(part, "servers") for part in _maps(environments))):
        for name in servers:
            _check_server_name(name, servers, mistakes)
    if path.name == SHARED_FILE and "trips" in tree:
        mistakes.add(tree.key_mark("trips"), "trips", "trips belong into a *.trip.yaml file; move them there")
    return Layer(path, _servers(tree), _map(tree, "defaults"), environments, _map(tree, "trips"))


def shared_folders(path: Path, root: Path) -> tuple[Path, ...]:
    """The folders whose mailtrip.yaml holds for this file, from far to near: from `root` down, or only its own."""
    folder = path.absolute().parent
    above = [folder, *folder.parents]
    top = root.absolute()
    return tuple(reversed(above[: above.index(top) + 1])) if top in above else (folder,)


def look_alike(folder: Path) -> Path | None:
    """A file that its author may take for a mailtrip.yaml."""
    return next((folder / name for name in _LOOK_ALIKES if is_file(folder / name)), None)


def lay_over(layers: Iterable[Layer], environment: str | None, mistakes: Mistakes) -> Ground:
    """The nearest wins, key by key; a chosen environment wins over everything that is not of it."""
    plain = tuple(layers)
    chosen = [inner for layer in plain if environment and (inner := _environment(layer, environment)) is not None]
    if environment and not chosen:
        names = {str(name) for layer in plain for name in layer.environments}
        known = did_you_mean(environment, names) or f"; there is {', '.join(sorted(names)) or 'none'}"
        what = f"nobody defines the environment `{environment}` that was chosen for this file{known}"
        mistakes.add(Mark(plain[-1].path), "environments", what)
    servers, defaults = Map(plain[-1].servers.at), Map(plain[-1].defaults.at)
    for layer in plain:
        servers, defaults = merged_servers(servers, layer.servers), merged_trip(defaults, layer.defaults)
    for inner in chosen:
        servers, defaults = merged_servers(servers, _servers(inner)), merged_trip(defaults, _map(inner, "defaults"))
    return Ground(servers, defaults)


def merged(far: Map, near: Map) -> Map:
    """Both, key by key; where both say something the near one wins, and mappings are laid over each other."""
    both = Map(near.at, far.items())
    for key, value in near.items():
        old = both.pop(key, None)
        both[key] = merged(old, value) if isinstance(old, Map) and isinstance(value, Map) else value
    return both


def merged_servers(far: Map, near: Map) -> Map:
    """As `merged`, except that a server of another kind (in-process, sendmail, listen, any other) begins anew."""
    kept = [(name, server) for name, server in far.items() if not _is_another(server, near.get(name))]
    return merged(Map(far.at, kept), near)


def merged_trip(far: Map, near: Map) -> Map:
    """As `merged`, except for lists that add up."""
    both = merged(far, near)
    for key in _ADDING_UP:
        above, below = _listed(key, far), _listed(key, near)
        if isinstance(above, Items) and isinstance(below, Items):
            both[key] = Items(below.at, [*above, *below])
    return both


def _listed(key: str, tree: Map) -> Tree:
    # One tag that is no list is a mistake, which is told where it stands.
    return tree.get(key) if key == "tags" else listed(tree.get(key))


def _is_another(far: Tree, near: Tree) -> bool:
    kinds = [_kind(server) for server in (far, near) if isinstance(server, Map)]
    return len(kinds) == 2 and None not in kinds and kinds[0] != kinds[1]


def _kind(server: Map) -> str | None:
    """What kind of server its keys decide for; None where they leave it open."""
    if server.get("embedded") is not None or server.get("host") == EMBEDDED:
        return EMBEDDED
    protocol = server.get("protocol")
    if isinstance(protocol, Text) and protocol in _KINDS:
        return protocol
    return "network" if server.get("host") is not None or server.get("provider") is not None else None


def _environment(layer: Layer, name: str) -> Map | None:
    found = layer.environments.get(name)
    return found if isinstance(found, Map) else None


def _check_server_name(name: str, servers: Map, mistakes: Mistakes) -> None:
    if name in RESERVED or name.startswith("embedded:"):
        what = "is a reserved name; use another"
    elif not name or any(character in name for character in ":/@$"):
        what = "cannot be a server's name; leave out `:`, `/`, `@` and `$`"
    else:
        return
    mistakes.add(servers.key_mark(name), f"servers.{name}" if name in RESERVED else "servers", what)


def _servers(tree: Map) -> Map:
    """The servers, each as a mapping as far as it is literal, so that they can be laid over each other key by key."""
    servers = _map(tree, "servers")
    return Map(servers.at, [(name, cut(value)) for name, value in servers.items()])


def _map(tree: Map, key: str) -> Map:
    found = tree.get(key)
    return found if isinstance(found, Map) else Map(tree.key_mark(key))


def _maps(tree: Map) -> Iterator[Map]:
    return (value for value in tree.values() if isinstance(value, Map))
