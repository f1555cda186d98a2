"""Figures of the claims about agreement, each of one claim's details alone: a file a picture."""

from ace.families.agreement.figures import captions
from ace.families.agreement.figures.depth import depth_figure
from ace.families.agreement.figures.dose import dose_figure
from ace.families.agreement.figures.knob import knob_figure
from ace.families.agreement.figures.methods import methods_figure
from ace.families.agreement.figures.scales import scales_figure
from ace.families.agreement.figures.texts import texts_figure
from ace.families.style import Drawing

FIGURES = (
    Drawing(("agreement.depth",), depth_figure, "depth", captions.depth_words),
    Drawing(("agreement.advantage",), methods_figure, "alternatives", captions.methods_words),
    Drawing(("agreement.knob",), knob_figure, "knob", captions.knob_words),
    Drawing(("agreement.dose",), dose_figure, "dose", captions.dose_words),
    Drawing(("agreement.generation",), texts_figure, "texts", captions.texts_words),
    Drawing(("agreement.scales",), scales_figure, "scales", captions.scales_words),
)
