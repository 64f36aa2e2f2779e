"""What the review page asks of the other stages: previews, repairs, explanations. See `backend.make_backend`."""
