"""The words of the lab: the keywords that its pages hold, and sentences that hold none. Data only."""

from typing import Final

# What a lab campaign looks for. No keyword stands inside another, nor inside any sentence below.
LAB_KEYWORDS: Final = (
    "gadget",
    "wholesale",
    "bargain",
    "crypto wallet",
    "discount",
    "warranty",
    "refurbished",
    "free shipping",
    "voucher",
    "clearance",
    "café",
    "günstig",
)

# A keyword takes the place of {}; each sentence holds it once.
SENTENCES_WITH_KEYWORD: Final = (
    "Everybody in town asks us about {} these days.",
    "Read what our readers wrote about {}, and add your own view.",
    "The best {} is the one that lasts for years.",
    "{} — that is what most visitors come here for.",
    "In this season {} matters more than ever (or so we hear).",
)

SENTENCES: Final = (
    "The river runs slowly through the valley and turns the old mill.",
    "On Mondays the workshop opens at nine and closes when the light is gone.",
    "Ham & eggs were served at the long table under the chestnut trees.",
    "Our archive holds letters, maps and drawings from four centuries.",
    "A small orchestra rehearses in the hall behind the library.",
    "Seen from the tower, the roofs form a pattern of red and grey.",
    "Two ferries a day connect the island with the mainland.",
    "The committee met twice and decided to plant more trees.",
    "Visitors may bring their own bread, salt and good humour.",
    "Naïve painters have always loved the harbour in the morning mist.",
    "The measurements were repeated in spring with the same result.",
    "Whoever finds the key should return it to the keeper's house.",
    "Children under six travel without a ticket in the last coach.",
    "A field of rye lies between the station and the first houses.",
    "The exhibition shows clocks, compasses and one very old telescope.",
    "In winter the path is closed because of loose stones above it.",
)

TITLES: Final = (
    "Notes from the valley",
    "The old mill",
    "Harbour news",
    "Workshop and archive",
    "Letters & maps",
    "A walk along the river",
)

PARKED_TITLE: Final = "This domain is for sale"
PARKED_SENTENCES: Final = (
    "This domain is for sale.",
    "Buy this domain: the owner of this page accepts offers.",
    "This page is parked free, courtesy of the registrar.",
    "Related searches: travel, insurance, music, flights.",
)
# Half of the parked pages say it once only, and not in the title.
MODEST_TITLE: Final = "Coming soon"
MODEST_SENTENCES: Final = (
    "Something new will stand here.",
    "Until then you may buy this domain from its owner.",
)
FAINT_SENTENCE: Final = "The owner says that this domain may be for sale one day."
