"""Figures of the claims about agreement, each of one claim's details alone: a file a picture."""

from ace.families.agreement.figures.depth import depth_figure
from ace.families.agreement.figures.dose import dose_figure
from ace.families.agreement.figures.knob import knob_figure
from ace.families.agreement.figures.methods import methods_figure
from ace.families.agreement.figures.scales import scales_figure
from ace.families.agreement.figures.texts import texts_figure

FIGURES = (
    (("agreement.depth",), depth_figure, "depth"),
    (("agreement.advantage",), methods_figure, "alternatives"),
    (("agreement.knob",), knob_figure, "knob"),
    (("agreement.dose",), dose_figure, "dose"),
    (("agreement.generation",), texts_figure, "texts"),
    (("agreement.scales",), scales_figure, "scales"),
)
