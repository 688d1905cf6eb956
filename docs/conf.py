"""The documentation as a site: `make docs` writes it to build/docs/, and takes every warning for an error."""

project = html_title = "modelstitch"
extensions = ["myst_nb"]
exclude_patterns = ["gallery"]

myst_heading_anchors = 4  # the anchors that GitHub gives to headings
nb_execution_mode = "off"  # the notebook keeps its outputs, and tests/test_docs.py runs it
highlight_language = "none"
smartquotes = False

html_theme = "furo"
html_static_path = ["site"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False
