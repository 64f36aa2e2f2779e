"""Generated chest x-rays whose truth is known: disease, printed marks, and how they are tied."""

from pipeline.ingest.synthetic.marks import PlantedMark
from pipeline.ingest.synthetic.phantom import NEGATIVE, POSITIVE, Phantom, PhantomSpec, Source, render
from pipeline.ingest.synthetic.write import generate

__all__ = ["NEGATIVE", "POSITIVE", "Phantom", "PhantomSpec", "PlantedMark", "Source", "generate", "render"]
