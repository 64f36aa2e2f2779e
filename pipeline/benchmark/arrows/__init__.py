"""Drawing of pointers, and training of the shape network in `pipeline.flag.marks.arrows`."""
