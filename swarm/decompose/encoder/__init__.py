"""Pretrained sentence encoders as providers of features: a Protocol, and BERT's forward pass in numpy."""
