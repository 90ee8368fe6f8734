"""Speed: comparison with other libraries (this package), profile of the training loop, and scaling."""
