"""The default version, loaded once for all tests in a process."""

from tonearm.classifier import Classifier

SHIPPED = Classifier.load()
BANKS = SHIPPED.banks
