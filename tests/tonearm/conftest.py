import hypothesis

# A test measures no speed: on a busy machine any example may take long.
hypothesis.settings.register_profile("core", deadline=None, max_examples=50)
hypothesis.settings.load_profile("core")
