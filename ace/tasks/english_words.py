"""Words of open English that tell where a subject ends and which number it has: closed classes and exceptions."""

from __future__ import annotations

from ace.tasks.fragment.words import PLURAL, SINGULAR


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


COPULAS = {
    form: number
    for number, forms in enumerate((("is", "was", "isn't", "wasn't"), ("are", "were", "aren't", "weren't")))
    for form in forms
}
PAST = _words("was were wasn't weren't")
CONTRACTED = {"'s": SINGULAR, "'re": PLURAL}
CONTRACTING = _words("it he she that this there here what who where how they we you these those i")
HAS = _words("been got had become")  # after which 's is "has"

SUBJECT_PRONOUNS: dict[str, int | None] = {
    **dict.fromkeys(_words("it he she"), SINGULAR),
    **dict.fromkeys(_words("they we you"), PLURAL),
    "i": None,  # both "I am" and "I were": nothing that a form in -s would tell
}
ALSO_OBJECTS = _words("it you")
INDEFINITE = _words("everyone everybody everything someone somebody something anyone anybody anything nobody nothing")
OBJECT_PRONOUNS = _words(
    "me him us them myself himself herself itself yourself themselves ourselves mine yours ours theirs hers whom"
)

SINGULAR_DETERMINERS = _words("a an this that each every another one much little either")
PLURAL_DETERMINERS = _words(
    "these those many both few several two three four five six seven eight nine ten eleven twelve twenty thirty"
    " forty fifty sixty hundred hundreds thousand thousands dozen dozens million millions couple various numerous"
    " lots"
)
OTHER_DETERMINERS = _words("the my your his her its our their all some any no most more such other enough half whose")
DETERMINERS = SINGULAR_DETERMINERS | PLURAL_DETERMINERS | OTHER_DETERMINERS
ALONE = _words("this that these those each many both few several two three four five six one some all most any half")
OF_WHAT_FOLLOWS = _words("some all most more lot lots plenty rest majority enough")  # "some of the water"

PREPOSITIONS = _words(
    "of in on at by for with from to near behind beside above under into onto over between among through about"
    " against across around along inside outside within without upon beneath below beyond toward towards during"
    " despite except off out up down past opposite amongst underneath throughout per via alongside besides"
    " concerning regarding including like unlike"
)
EITHER_WAY = _words("after before since until till as than")  # a preposition or a conjunction
CONJUNCTIONS = _words(
    "because if when whenever while although though whether unless where wherever why once but so whereas lest yet"
)
UNREAL = _words("if wish wished wishes though suppose imagine unless")  # "if it were"
QUESTIONS = _words("what who how which whom whose when where why")

ADVERBS = _words(
    "not also often still always really certainly now never ever just only even again already soon then today"
    " yesterday tomorrow here too very quite rather perhaps maybe sometimes usually however therefore indeed"
    " instead almost currently once both all each probably definitely actually apparently clearly obviously simply"
    " far nearby outside inside together alone later tonight thus hence meanwhile moreover furthermore otherwise"
    " nonetheless nevertheless long much well somehow twice first finally anyway away back ago most more so"
    " quickly slowly nowadays"
)
NOT_ADVERBS = _words(
    "family lily fly reply supply ally bully belly jelly assembly italy july butterfly anomaly monopoly homily"
    " emily molly sally kelly billy lovely friendly elderly ugly silly lonely holy curly early daily weekly hilly"
    " woolly chilly deadly lively"
)
AUXILIARIES = _words(
    "has have had do does did will would can could shall should may might must hasn't haven't hadn't don't"
    " doesn't didn't won't wouldn't can't couldn't shouldn't cannot be been am"
)
# Verbs that a clause may follow without "that".
CLAUSE_VERBS = _words(
    "say says said think thinks thought believe believes believed hope hopes hoped guess guesses guessed realize"
    " realizes realized realised knows knew know suppose wish wished wishes suggest suggests suggested claim"
    " claims claimed feel feels felt noticed notice notices saw see sees found find finds heard hear hears means"
    " mean meant show shows showed tell tells told thinking saying knowing hoping believing ensure ensures sure"
    " decided agree agreed added explained explain explains replied remember remembered discovered learned assume"
    " assumed imagine concluded reported"
)
WITH_OBJECTS = _words(
    "knows knew know saw see sees found find finds heard hear hears felt feel feels noticed notice notices show"
    " shows showed tell tells told remember remembered discovered learned reported explained"
)
VERBS = _words(
    "went came ran sat stood gave took made got kept let left lost met put read sent spent bought brought built"
    " caught chose drew drove ate fell flew forgot grew held hid hit hurt lay led lived lives live owns own bit"
    " began become becomes became broke wrote wore won understood taught threw swam sold slept sang rose rode paid"
    " lent grow go goes come comes run runs sit sits stand stands give gives take takes make makes get gets keep"
    " keeps lie lies want wants need needs seem seems seemed look looks looked like likes love loves help helps"
    " follow follows move moves belong belongs contain contains include includes provide provides eat eats drink"
    " sleep sleeps swim write writes speak spoke shook fought dug sank stole tore woke rang blew hung fed fled"
    " froze bent bore swung struck do does appear appears bring brings buy call calls carry carries cause causes"
    " create creates describe describes exist exists fall falls feed feeds fly flies grows happen happens hold"
    " holds involve involves learn lead leads leave leaves occur occurs open opens play plays produce produces"
    " reach remain remains require requires represent represents rule sell set sing start starts stay stays study"
    " teach travel try tries turn turns use uses visit wait walk walks watch wear wears work works"
)
# Of these, forms that are nouns as well: a verb only where a pronoun stands before.
VERBS_AND_NOUNS = _words(
    "looks look love loves help need needs play plays rule start starts study travel turn turns use uses visit"
    " walk walks watch work works lead leads cause causes call calls drink sleep swim run runs stand stands set"
    " leaves lives lies move moves try wait stay stays reach read open own left drew found saw felt means show"
    " shows claim claims guess hope hopes sets fall falls bit rose lay like flies fly feed feeds feel hit put"
    " thought hold lie remains produce notice notices wish wishes reported"
)
ADJECTIVES_IN_ED = _words("red bed bread shed seed weed hundred speed breed sled need feed creed indeed naked wicked")
NOUNS_IN_ING = _words(
    "morning evening thing king ring spring string building feeling wedding meeting painting ceiling wing sing"
    " bring clothing meaning beginning ending ping sling sibling duckling darling pudding lightning earring"
    " offspring drawing being warning setting opening finding"
)
PARTICIPLES = _words(
    "made seen known found given taken built written left held kept told born brought bought caught chosen done"
    " drawn driven eaten fallen forgotten grown hidden lost paid sent shown sold spoken stolen taught thrown torn"
    " won worn broken bitten hung set put led read shot bound cut hit beaten begun frozen"
)
NAMED = _words("named called titled entitled")

PLURAL_NOUNS = _words(
    "children people police cattle mice lice feet teeth geese oxen men women clothes thanks trousers pants"
    " scissors jeans shorts glasses criteria phenomena bacteria fungi alumni wives knives lives leaves wolves dice"
    " grandchildren"
)
NOT_MEN = _words("specimen omen abdomen regimen acumen stamen semen ramen yemen")
SINGULAR_IN_S = _words(
    "bus gas lens news atlas canvas bias chaos cosmos christmas mathematics physics economics politics athletics"
    " ethics gymnastics genetics linguistics electronics mumps measles diabetes rabies billiards pancreas iris"
    " alas asbestos james charles thomas chris paris texas jesus francis nicholas dennis louis lucas marcus alexis"
    " dallas athens moses socrates jones williams davis harris arkansas kansas massachusetts mars venus wales"
    " hercules zeus aries tennis carlos hans jess ross agnes doris phyllis mrs santos niklas andreas jonas silas"
    " elias tobias lois"
)
ONE_FORM = _words("sheep fish deer series species")  # for both numbers, which their determiner tells if any does
UNTOLD_NOUNS = _words(
    "sheep fish deer moose salmon trout shrimp swine bison aircraft spacecraft series species means headquarters"
    " crossroads barracks offspring data media staff crew team family group class crowd committee government"
    " audience band army couple public majority minority pair jury gang flock herd company board council club"
    " party orchestra choir enemy navy faculty panel press set variety range bunch population community youth"
    " percent rest half rich poor young old blind dead elderly sick homeless injured wounded unemployed wealthy"
    " weak strong brave french english british chinese japanese irish dutch portuguese swiss spanish same former"
    " latter following states neither none what which who more most all some any such enough lot plenty kind sort"
    " dollars years minutes hours miles us uk congress parliament folk counsel reindeer elk squid cod tuna"
    " livestock poultry vermin"
)
"""Nouns that take a verb of either number, or have one form for both, and adjectives that may stand for people."""


def noun_number(word: str) -> int | None:
    """Number of a noun as written, 0 or 1; None where its form does not tell.

    Capitals count: a name in -s is left out unless it is known.
    """
    lower = word.lower().replace("\u2019", "'").rsplit("-", 1)[-1]
    if lower in UNTOLD_NOUNS or not lower[:1].isalpha():
        return None
    if lower in PLURAL_NOUNS or (lower.endswith("men") and lower not in NOT_MEN):
        return PLURAL
    if lower in SINGULAR_IN_S or not lower.endswith("s") or len(lower) < 3:
        return SINGULAR
    if lower.endswith(("ss", "us", "is")):
        return SINGULAR
    return PLURAL
