"""The documentation: pages as they are read on GitHub; :mod:`docs.site` makes a site of them."""
