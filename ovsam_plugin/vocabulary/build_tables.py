"""Makes the ImageNet tables from what timm and open_clip know, and merges all into `open-22k`.

Run as `python -m ovsam_plugin.vocabulary.build_tables`; the tables are committed, so users never
need it. `tables/coco.csv` and `tables/lvis.csv` are kept by hand.

ImageNet's 21,843 WordNet synsets share words: two are called "crane", seven "queen". A vocabulary
needs distinct names, so a word that is the first lemma of several synsets is shared out like this:

0. `tables/imagenet-names.csv` gives names by hand, mostly to things that COCO and LVIS name too, in
   their words, so that the merged vocabulary holds them once: "chair" is the seat.
1. A synset with a lemma of its own that contains the word takes it ("computer mouse").
2. If one of those left is in ImageNet-1k, or failing that one alone in ImageNet-12k (the synsets
   with many photographs), it keeps the bare word: "leopard" is the cat, not the pelt.
3. The rest get the opening of their definition: "crane (large long-necked wading bird)".

A lemma that is another synset's name, or that several synsets have, is nobody's synonym.
ImageNet-1k takes open_clip's names; its two pairs of equal ones take WordNet's first lemma instead.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ovsam_plugin.vocabulary.names import name_key
from ovsam_plugin.vocabulary.tables import built_in, texts
from ovsam_plugin.vocabulary.vocabulary import Category, Vocabulary

TABLES = Path(__file__).parent / "tables"

# Where the opening phrase of a definition ends.
_BREAKS = frozenset(
    "of that which with used for from in on by to having consisting whose who where when made as "
    "at is are formed resembling worn usually often sometimes found bearing containing "
    "characterized designed covered about similar growing grown native".split()
)
# Words that say nothing alone, so the phrase goes on past the break.
_VAGUE = frozenset(
    "part one someone piece device type kind structure person member something anything thing pair "
    "set group area place variety form substance any small large plant made use".split()
)
_DANGLING = _BREAKS | frozenset("a an the and or formerly across attached built put".split())


@dataclass(frozen=True)
class Synset:
    """One ImageNet class: WordNet id, lemmas in WordNet's order, definition."""

    wnid: str
    lemmas: tuple[str, ...]
    definition: str


def opening(definition: str, words: int = 0) -> str:
    """A few words that tell one sense from another.

    Args:
        definition: WordNet's.
        words: exactly so many words; 0 for the first phrase, or a leading "(cricket)".
    """
    field = re.match(r"\(([^)]*)\)", definition)
    usage = ("usually", "often", "sometimes", "informal", "plural")
    if not words and field and len(field[1].split()) <= 3 and not field[1].startswith(usage):
        return field[1]
    text = re.sub(r"\([^)]*\)", "", definition).strip()
    text = re.sub(
        r"^(any one|any|an|a|the|one|each|either|some)\b\s*(of\b\s*)?"
        r"((numerous|various|several|many|two|three|the|an|a)\b\s*)*",
        "",
        text,
    )
    text = re.split(r";|:|--", text)[0]
    kept: list[str] = []
    for word in text.replace(",", " ,").split():
        phrase_ends = bool(kept) and word in _BREAKS and kept[-1] not in _VAGUE
        if word == "," and len(kept) < 2:
            continue
        if word == "," or (len(kept) == words if words else phrase_ends):
            break
        kept.append(word)
    if not words:
        kept = kept[:6] if _BREAKS.intersection(kept) else kept[-4:]
    while len(kept) > 1 and kept[-1] in _DANGLING:
        kept.pop()
    while len(kept) > 1 and kept[0] in _DANGLING:
        kept.pop(0)
    return " ".join(kept)


def choose_names(
    synsets: Iterable[Synset], ranks: Iterable[frozenset[str]], given: dict[str, str]
) -> dict[str, str]:
    """A distinct name for every synset, by the rules above.

    Args:
        synsets: all of them.
        ranks: sets of wnids, best known first; a synset alone in one keeps the bare word.
        given: wnid to name, where the name is given by hand.

    Returns:
        wnid to name; no two names have the same key.
    """
    synsets = list(synsets)
    ranks = list(ranks)
    owners = Counter(key for s in synsets for key in {name_key(lemma) for lemma in s.lemmas})
    groups: dict[str, list[Synset]] = defaultdict(list)
    for synset in synsets:
        groups[name_key(synset.lemmas[0])].append(synset)
    names = dict(given)
    taken = {name_key(name) for name in given.values()}
    for key, group in groups.items():
        rest = []
        for synset in group:
            if synset.wnid in given:
                continue
            own = [lemma for lemma in synset.lemmas[1:] if owners[name_key(lemma)] == 1]
            own = [lemma for lemma in own if name_key(lemma) not in taken]
            longer = [x for x in own if set(key.split()) <= set(name_key(x).split())]
            if len(group) > 1 and longer:
                names[synset.wnid] = longer[0]
            else:
                rest.append(synset)
        known = [rest, *([s for s in rest if s.wnid in rank] for rank in ranks)]
        alone = (found[0] for found in known if len(found) == 1)
        bare = None if key in taken else next(alone, None)
        if bare is not None:
            names[bare.wnid] = bare.lemmas[0]
            rest.remove(bare)
        names.update(_qualified(rest, bare is None and key not in taken))
    return names


def _qualified(rest: list[Synset], bare_is_free: bool) -> dict[str, str]:
    """Names with the shortest opening of the definition that no other of them has."""
    names: dict[str, str] = {}
    for words in (0, 6, 9, 15, 30):
        tried = {s.wnid: f"{s.lemmas[0]} ({opening(s.definition, words)})" for s in rest}
        count = Counter(map(name_key, tried.values()))
        names.update({wnid: name for wnid, name in tried.items() if count[name_key(name)] == 1})
        rest = [s for s in rest if s.wnid not in names]
    # Two synsets with one definition: the second lemma, where there is one, tells them apart.
    for synset in rest:
        other = synset.lemmas[1:2]
        if not other and not bare_is_free:
            raise ValueError(f"no distinct name for {synset}")
        bare_is_free = bare_is_free and bool(other)
        names[synset.wnid] = f"{synset.lemmas[0]} ({other[0]})" if other else synset.lemmas[0]
    return names


def own_synonyms(synsets: Iterable[Synset], names: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """The lemmas of each synset that name it and nothing else, its name left out."""
    synsets = list(synsets)
    taken = {name_key(name) for name in names.values()}
    owners = Counter(key for s in synsets for key in {name_key(lemma) for lemma in s.lemmas})
    synonyms = {}
    for synset in synsets:
        own = {name_key(x): x for x in reversed(synset.lemmas) if owners[name_key(x)] == 1}
        synonyms[synset.wnid] = tuple(
            x for key, x in reversed(own.items()) if key not in taken and "|" not in x
        )
    return synonyms


def merge_classes() -> tuple[Category, ...]:
    """COCO, LVIS and ImageNet-21k in one.

    COCO's own synonyms take no part in joining ImageNet's classes, since some of them are kinds of
    the thing (a puppy is a dog in COCO's 80), which here are classes of their own.
    """
    coco, lvis, imagenet = (built_in(name) for name in ("coco", "lvis", "imagenet-21k"))
    partners = _partners(coco, lvis)
    members = [
        [category, *([lvis.categories[partners[i]]] if i in partners else [])]
        for i, category in enumerate(coco)
    ]
    members += [[c] for i, c in enumerate(lvis) if i not in partners.values()]
    owner = {name_key(c.name): i for i, group in enumerate(members) for c in group}
    for i, group in enumerate(members):
        for text in group[-1].synonyms if i >= len(coco) or i in partners else ():
            owner.setdefault(name_key(text), i)
    for category in imagenet:
        keys = [name_key(text) for text in (category.name, *category.synonyms)]
        index = next((owner[key] for key in keys if key in owner), len(members))
        if index == len(members):
            members.append([])
        members[index].append(category)
        for key in keys:
            owner.setdefault(key, index)
    for i, category in enumerate(coco):
        for text in category.synonyms:
            owner.setdefault(name_key(text), i)
    return tuple(
        Category(
            name=group[0].name,
            synonyms=texts(
                group[0].name,
                (t for c in group for t in (c.name, *c.synonyms) if owner[name_key(t)] == i),
            ),
            frequency=next((c.frequency for c in group if c.frequency), None),
        )
        for i, group in enumerate(members)
    )


def _partners(coco: Vocabulary, lvis: Vocabulary) -> dict[int, int]:
    """The class of LVIS that each COCO class is, where there is one; indices to indices."""
    partners: dict[int, int] = {}
    for i, category in enumerate(coco):
        own = lvis.find(category.name)
        if own is not None:
            partners[i] = own
    for i, category in enumerate(coco):
        found = (lvis.find(text) for text in category.synonyms)
        free = (index for index in found if index not in (None, *partners.values()))
        index = next(free, None)
        if i not in partners and index is not None:
            partners[i] = index
    return partners


def write_table(
    path: Path, rows: Iterable[tuple[str, str, tuple[str, ...]]], first: str = "id"
) -> None:
    """Writes (id or frequency, name, synonyms) rows as CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((first, "name", "synonyms"))
        writer.writerows((row[0], row[1], "|".join(row[2])) for row in rows)


def main(folder: Path = TABLES) -> None:
    """Writes the three tables; the merged one is made from those in the package."""
    from open_clip import IMAGENET_CLASSNAMES
    from timm.data.imagenet_info import ImageNetInfo

    info = ImageNetInfo("imagenet21k")
    small: list[str] = ImageNetInfo("imagenet1k")._synsets
    medium: list[str] = ImageNetInfo("imagenet12k")._synsets

    def synset(wnid: str) -> Synset:
        lemmas = [lemma.strip() for lemma in info._lemmas[wnid].split(",")]
        return Synset(wnid, tuple(dict.fromkeys(filter(None, lemmas))), info._definitions[wnid])

    synsets = [synset(wnid) for wnid in info._synsets]
    with (TABLES / "imagenet-names.csv").open(encoding="utf-8", newline="") as file:
        given = {row["id"]: row["name"] for row in csv.DictReader(file)}
    names = choose_names(synsets, [frozenset(small), frozenset(medium)], given)
    synonyms = own_synonyms(synsets, names)
    write_table(
        folder / "imagenet-21k.csv", ((s.wnid, names[s.wnid], synonyms[s.wnid]) for s in synsets)
    )

    synsets = [synset(wnid) for wnid in small]
    count = Counter(IMAGENET_CLASSNAMES)
    names = {
        s.wnid: name if count[name] == 1 else s.lemmas[0]
        for s, name in zip(synsets, IMAGENET_CLASSNAMES, strict=True)
    }
    synonyms = own_synonyms(synsets, names)
    for wnid, name in names.items():
        if "/" in name:
            synonyms[wnid] = (*(part.strip() for part in name.split("/")), *synonyms[wnid])
    rows = enumerate(synsets)
    write_table(
        folder / "imagenet-1k.csv", ((str(i), names[s.wnid], synonyms[s.wnid]) for i, s in rows)
    )

    built_in.cache_clear()
    write_table(
        folder / "open-22k.csv",
        ((c.frequency or "", c.name, c.synonyms[1:]) for c in merge_classes()),
        "frequency",
    )


if __name__ == "__main__":
    main()
