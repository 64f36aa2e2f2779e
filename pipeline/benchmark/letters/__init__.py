"""Training data and training of the letter network in `pipeline.flag.marks.letters`, all of it generated."""
