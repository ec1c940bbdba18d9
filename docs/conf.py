"""How Sphinx builds the documentation: ``make docs``."""

import pathlib
import sys

import minifer

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

project = "minifer"
version = release = minifer.__version__
copyright = author = "the minifer authors"

extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode",
              "sphinx_gallery.gen_gallery", "myst_parser", "sphinx_design", "apipages",
              "mathml"]
exclude_patterns = ["_build", "lessons"]

html_theme = "furo"  # light or dark, as the reader's browser is
html_theme_options = {"navigation_with_keys": True}
html_title = "minifer"
html_static_path = ["_static"]
html_css_files = ["minifer.css"]
html_show_copyright = False
html_math_renderer = "mathml"

add_module_names = False
# A word of a description, such as "caption", may be an attribute of several classes.
suppress_warnings = ["ref.python"]
autodoc_member_order = "bysource"
# Methods that scikit-learn makes for each estimator, described in terms of its manual.
autodoc_default_options = {"show-inheritance": True, "exclude-members": ", ".join(
    f"set_{method}_request" for method in ("fit", "partial_fit", "score"))}
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

myst_heading_anchors = 3

sphinx_gallery_conf = {
    "examples_dirs": "lessons",
    "gallery_dirs": "learn",
    "filename_pattern": r"/plot_",
    "within_subsection_order": "FileNameSortKey",
    "first_notebook_cell": "# This lesson imports minifer: pip install -e FOLDER\n"
                           "%matplotlib inline",
    "show_signature": False,
    "write_computation_times": False,
    "show_memory": False,
    "min_reported_time": 60,
    "plot_gallery": "True",
    "abort_on_example_error": True,
}
