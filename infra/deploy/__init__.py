"""The steps of a deployment, one module each, for the pipeline and for a developer: ``python -m infra.deploy STEP``.

They need Python and the Azure CLI (``az``), signed in, and nothing else: a pipeline's agent has no more.
"""
