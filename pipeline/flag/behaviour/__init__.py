"""What a classifier does: saliency in regions, interventions, black-outs, embeddings, clusters, error slices."""
