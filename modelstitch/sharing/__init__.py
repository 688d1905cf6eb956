"""What made a result, told and kept beside it; a study as one archive, and an archive as a study elsewhere."""
