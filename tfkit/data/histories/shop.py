"""A made-up shop: what recommenders learn from without any download."""

import numpy as np

from tfkit.data.histories.catalogue import Catalogue, catalogue_of

_KINDS = {
    "coffee": ("espresso beans", "filter coffee", "moka pot", "milk frother", "coffee grinder", "paper filters",
               "cold brew bottle", "coffee scale", "decaf beans", "travel mug"),
    "tea": ("green tea", "black tea", "herbal tea", "tea pot", "tea strainer", "matcha powder", "matcha whisk",
            "chai spices", "tea tin", "honey"),
    "running": ("running shoes", "running socks", "sports watch", "rain jacket", "energy gel", "water belt",
                "head lamp", "foam roller", "running cap", "reflective vest"),
    "garden": ("tomato seeds", "watering can", "garden gloves", "potting soil", "pruning shears", "flower bulbs",
               "compost bin", "plant labels", "herb seeds", "wheelbarrow"),
    "baking": ("bread flour", "sourdough starter", "baking tin", "rolling pin", "dough scraper", "vanilla pods",
               "cake stand", "oven thermometer", "proofing basket", "icing sugar"),
    "desk": ("notebook", "fountain pen", "desk lamp", "ink bottle", "pencil case", "monitor stand", "paper clips",
             "planner", "sticky notes", "cable tray"),
}  # fmt: skip
_USERS, _SEED = 600, 20261201
_FEWEST, _MOST = 6, 16  # items that a user takes
_BESIDE = 0.15  # of them, those that are of no kind that the user likes
_SETS = 2  # of the items of a kind: who takes one of a set takes others of it more often


def shop() -> tuple[Catalogue, list[tuple[str, str]]]:
    """60 items of six kinds, with texts, and what 600 users took of them, in order: (user, item).

    Who likes coffee takes what is for coffee, and within a kind what goes together; some is taken by chance.

    Example:
        >>> catalogue, taken = shop()
        >>> len(catalogue), catalogue.names[0]
        (60, 'espresso beans')
    """
    rows = [
        (f"{kind}-{number + 1}", name, f"{name}, for {kind}")
        for kind, names in _KINDS.items()
        for number, name in enumerate(names)
    ]
    random = np.random.default_rng(_SEED)
    kinds, taken = list(_KINDS), []
    popularity = random.gamma(2.0, size=len(rows))
    for user in range(_USERS):
        liked = random.choice(len(kinds), size=int(random.integers(1, 3)), replace=False)
        preferred = random.integers(_SETS, size=len(kinds))
        weights = np.empty(len(rows))
        for place, row in enumerate(rows):
            kind = kinds.index(row[0].rpartition("-")[0])
            weight = (1 - _BESIDE) / len(liked) if kind in liked else _BESIDE / len(kinds)
            together = 3.0 if place % _SETS == preferred[kind] else 1.0
            weights[place] = weight * together * popularity[place]
        count = int(random.integers(_FEWEST, _MOST + 1))
        items = random.choice(len(rows), size=count, replace=False, p=weights / weights.sum())
        taken += [(f"user {user + 1}", rows[item][0]) for item in items]
    return catalogue_of(rows), taken
