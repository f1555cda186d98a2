"""The documentation: pages, and what makes their tables, figures and numbers from stored records."""
