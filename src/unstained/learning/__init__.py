"""Networks, losses, augmentation, the training loop, and engines for prediction."""
