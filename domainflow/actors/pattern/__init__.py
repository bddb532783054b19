"""A source of names: one shared stream that hands out its offsets and decides the birth of campaigns."""
