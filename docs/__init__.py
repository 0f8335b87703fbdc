"""The documentation: Markdown pages, the tables generated into them, and the HTML build."""
