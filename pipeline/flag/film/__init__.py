"""What the film itself gives away: borders, bands and corners, and traits of the whole image."""
