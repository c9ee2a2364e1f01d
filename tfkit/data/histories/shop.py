"""A made-up shop: what recommenders learn from without any download."""

from itertools import product

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
_FORMS = ("", "organic ", "large ")  # of each item
_USERS, _SEED = 600, 20261201
_FEWEST, _MOST = 6, 16  # items that a user takes
_BESIDE = 0.15  # of them, those that are of no kind that the user likes
_PREFERRED = 4.0  # times as likely are items of the form that a user prefers


def shop() -> tuple[Catalogue, list[tuple[str, str]]]:
    """180 items of six kinds, with texts, and what 600 users took of them, in order: (user, item).

    Who likes coffee takes what is for coffee, and who takes organic things takes more of them; some is taken by chance.

    Example:
        >>> catalogue, taken = shop()
        >>> len(catalogue), catalogue.names[0]
        (180, 'espresso beans')
    """
    rows: list[tuple[str, str, str]] = []
    traits: list[tuple[int, int]] = []
    for place, (kind, names) in enumerate(_KINDS.items()):
        for form, (told, name) in enumerate(product(_FORMS, names)):
            rows.append((f"{kind}-{form + 1}", f"{told}{name}", f"{told}{name}, for {kind}"))
            traits.append((place, form // len(names)))
    random = np.random.default_rng(_SEED)
    popularity, taken = random.gamma(2.0, size=len(rows)), []
    kind_of, form_of = np.array(traits).T
    for user in range(_USERS):
        liked = random.choice(len(_KINDS), size=int(random.integers(1, 3)), replace=False)
        weights = np.where(np.isin(kind_of, liked), (1 - _BESIDE) / len(liked), _BESIDE / len(_KINDS))
        weights = weights * np.where(form_of == random.integers(len(_FORMS)), _PREFERRED, 1.0) * popularity
        count = int(random.integers(_FEWEST, _MOST + 1))
        items = random.choice(len(rows), size=count, replace=False, p=weights / weights.sum())
        taken += [(f"user {user + 1}", rows[item][0]) for item in items]
    return catalogue_of(rows), taken
