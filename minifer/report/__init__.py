"""Reports: what a run came to, as Markdown, as a page for a browser, and in pictures.

``document.py`` is what a report says, ``text.py`` and ``html.py`` how it is written
down; ``style.py`` is how pictures look, ``plots.py``, ``data_pictures.py``,
``evaluation_plots.py`` and ``search_plot.py`` draw them, and ``annotate.py`` draws on
photos.
"""

from .._lazy import door

_HOMES = {
    "history_csv": "text", "write_history": "text", "run_report": "text",
    "write_report": "text", "write_search_report": "text", "write_html_report": "html",
    "to_html": "html", "learning_curves": "plots", "confusion_matrix": "plots",
    "filters": "plots", "activations": "plots", "most_wrong": "plots", "save": "plots",
    "class_bars": "data_pictures", "brightness_boxes": "data_pictures",
    "sample_grid": "data_pictures", "reliability_diagram": "evaluation_plots",
    "accuracy_dots": "evaluation_plots", "heat_map": "evaluation_plots",
    "search_curve": "search_plot", "annotate_photo": "annotate",
    "annotate_faces": "annotate", "Copies": "annotate",
}

__all__ = list(_HOMES)
__getattr__, __dir__ = door(__name__, _HOMES)
