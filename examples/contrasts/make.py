"""Write the three files of pairs beside this script: `python make.py`. The same words give the same bytes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

COLUMNS = ("prompt", "good", "bad", "label", "head", "frame")  # ace reads all but the last, which is for people
Row = tuple[str, str, str, str, str, int]


def words(text: str) -> list[str]:
    """Words apart."""
    return text.split()


MEN = words(
    """
    John James Robert Michael William David Richard Thomas Charles Daniel Matthew Anthony Mark Donald Steven Paul
    Andrew Joshua Kenneth Kevin Brian George Timothy Ronald Edward Jason Jeffrey Ryan Jacob Gary Nicholas Eric
    Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel Gregory Frank Alexander Raymond Patrick Jack Dennis
    Jerry Tyler Aaron Jose Adam Henry Nathan Douglas Peter Kyle Walter Ethan Jeremy Harold Keith Roger Arthur Carl
    Lawrence Albert Vincent Russell Louis Philip Bobby Johnny Bradley Howard Eugene Randy Wayne Alan Ralph Roy
    Leonard Theodore Oscar Victor Martin Ernest Craig Curtis Stanley Harry Fred Bruce Sean Derek Luke Simon Hugo
    Felix Edgar Gilbert Marcus Julian Norman Clarence
    """
)
WOMEN = words(
    """
    Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Nancy Lisa Margaret Betty Sandra Ashley
    Dorothy Kimberly Emily Donna Michelle Carol Amanda Melissa Deborah Stephanie Rebecca Laura Sharon Cynthia
    Kathleen Amy Shirley Angela Helen Anna Brenda Pamela Nicole Samantha Katherine Emma Ruth Christine Catherine
    Debra Rachel Carolyn Janet Virginia Maria Heather Diane Julie Joyce Victoria Kelly Christina Joan Evelyn Lauren
    Judith Olivia Martha Cheryl Megan Alice Frances Ann Julia Grace Amber Denise Danielle Marilyn Beverly Charlotte
    Natalie Theresa Diana Brittany Doris Kayla Lori Marie Sophia Isabella Hannah Abigail Ella Claire Lucy Molly
    Eleanor Rose Irene Gloria Teresa Sara Janice Kathryn Rosa Judy Audrey Margot
    """
)
PEOPLE = words(
    """
    boy man king prince brother uncle father son soldier sailor farmer waiter actor monk priest wizard knight hunter
    fisherman policeman fireman businessman gentleman husband grandfather nephew butcher carpenter blacksmith miner
    driver pilot captain general officer sheriff cowboy boxer wrestler judge lawyer doctor dentist scientist
    engineer professor teacher student painter poet writer composer singer dancer barber tailor baker builder
    plumber mechanic gardener guard thief prisoner beggar merchant banker mayor senator president hero giant dwarf
    clown artist athlete author baron bishop bodyguard broker burglar cashier chef chief climber collector commander
    comedian cook courier coward criminal critic customer cyclist dealer defender designer detective dictator
    diplomat diver drummer duke economist editor emperor employer explorer fool gambler gangster governor guitarist
    hacker historian immigrant inventor investor janitor jester jockey journalist juror killer landlord lawmaker
    leader lecturer librarian lord magician manager mathematician mentor messenger minister musician neighbor
    novelist operator orphan owner partner passenger patient peasant philosopher photographer physicist pianist
    pirate player politician porter prosecutor publisher ranger rebel referee reporter robber ruler runner sculptor
    servant shepherd smuggler stranger surgeon suspect swimmer tenant therapist tourist trader trainer traveler
    tutor tyrant veteran victim villager visitor volunteer warrior winner worker boyfriend stepfather godfather
    grandson nobleman salesman congressman spokesman chairman craftsman horseman mailman doorman repairman
    """
)
IRREGULAR = {"thief": "thieves", "hero": "heroes", "dwarf": "dwarves"}

BECAUSE = (
    "Last week {name} stayed at home because",
    "{name} did not know what",
    "{name} fell asleep before",
    "Everyone was glad to see {name} when",
)
ALONE = (
    "The {head} did all of the work by",
    "The {head} could not take care of",
    "After the accident the {head} blamed",
    "The {head} kept the secret to",
)
ASSERTED_AND_DENIED = (
    ("The {head} said that there is", "The {head} said that there isn't"),
    ("The {head} bought", "The {head} did not buy"),
    ("The {head} always found", "The {head} never found"),
    ("Yesterday the {head} saw", "Yesterday the {head} didn't see"),
)


def plural(noun: str) -> str:
    """The plural of one of these nouns."""
    if noun in IRREGULAR:
        return IRREGULAR[noun]
    return f"{noun[:-3]}men" if noun.endswith("man") else f"{noun}s"


def pronoun_gender() -> Iterator[Row]:
    """He or she, after a name."""
    for frame, text in enumerate(BECAUSE):
        for names, good, bad, label in ((MEN, "he", "she", "masculine"), (WOMEN, "she", "he", "feminine")):
            for name in names:
                yield text.format(name=name), good, bad, label, name, frame


def reflexive_number() -> Iterator[Row]:
    """Himself or themselves, after a noun in the singular or plural."""
    for frame, text in enumerate(ALONE):
        for noun in PEOPLE:
            yield text.format(head=noun), "himself", "themselves", "singular", noun, frame
            yield text.format(head=plural(noun)), "themselves", "himself", "plural", noun, frame


def negative_polarity() -> Iterator[Row]:
    """Some, or any where the sentence is denied."""
    for frame, (asserted, denied) in enumerate(ASSERTED_AND_DENIED):
        for noun in PEOPLE:
            yield asserted.format(head=noun), "some", "any", "asserted", noun, frame
            yield denied.format(head=noun), "any", "some", "denied", noun, frame


def main() -> None:
    """Write the files."""
    for rows in (pronoun_gender, reflexive_number, negative_polarity):
        path = Path(__file__).parent / f"{rows.__name__}.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows())


if __name__ == "__main__":
    main()
