"""The public face: what `import modelstitch` offers to a notebook."""
