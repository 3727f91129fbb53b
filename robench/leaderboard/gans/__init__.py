"""Published boards of GANs: their files, tables, audit and page.

board.json                    the specification as it was run
board.toml                    the board as a file that 'robench run' takes
leaderboard.csv               one row per defense
metrics.csv                   one row per generator that was measured, also those on the way
curves.csv                    losses and scores of each training over its steps
paper.csv                     figures of a paper beside ours, if the board has some
manifests/ROW-seedN.json      one file per GAN: specification, versions, hashes, times, metrics
logs/CELL.csv                 the log of the training, as it was written
samples/ROW-seedN.png         a grid of samples
weights/CELL.safetensors      generators, if the board publishes them; CELL-ema for averages
sources/NAME-HASH/*.py        the code of entries that do not come with robench
SHA256SUMS                    checksums of all of these
"""
