"""What the visitors call themselves and say."""

import hashlib
import random
from dataclasses import dataclass

_BIRDS = ("heron", "wren", "plover", "osprey", "linnet", "kestrel", "avocet", "siskin", "dunlin", "curlew")
_SUBJECTS = (
    "Fog over the harbour", "First snow", "Night trains", "My grandmother's hands", "Reflections",
    "Street musicians", "The old lighthouse", "Wild foxes", "Long exposures of waterfalls",
    "Empty playgrounds", "Morning market", "Storm clouds", "Portraits by window light", "Rusty bicycles",
)  # fmt: skip
_ANGLES = (
    "shot on film", "which crop is better?", "in black and white", "critique welcome", "with a 50 mm lens",
    "three attempts", "what would you change?", "taken last weekend", "too dark?", "from the archive",
)  # fmt: skip
_REMARKS = (
    "The light is wonderful.", "I would crop a little tighter on the left.", "Which lens was that?",
    "The colours remind me of old slides.", "Have you tried it an hour earlier?", "Lovely depth of field!",
    "The horizon leans slightly, I think.", "I keep coming back to this one.",
    "A tripod would have helped me here.",
    "Great timing.", "The shadows could use some detail.", "Thank you for sharing the settings.",
    "More of these, please.", "I like the second version better.", "The grain suits it well.",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Account:
    """A name and password that a visitor may use."""

    name: str
    password: str


def account(seed: str, number: int) -> Account:
    """Return the account with this number; the same seed always gives the same."""
    digest = hashlib.sha256(f"{seed}/{number}".encode()).hexdigest()
    return Account(f"{_BIRDS[int(digest[:4], 16) % len(_BIRDS)]}_{number}_{digest[4:8]}", digest[8:32])


def title(choose: random.Random) -> str:
    """Return the title of a thread."""
    return f"{choose.choice(_SUBJECTS)}, {choose.choice(_ANGLES)}"


def remarks(choose: random.Random) -> str:
    """Return the text of a post."""
    return " ".join(choose.sample(_REMARKS, choose.randint(1, 3)))
