"""The two models: the RBF SVM on features, and VGG19 on tiles of mel spectrograms."""
